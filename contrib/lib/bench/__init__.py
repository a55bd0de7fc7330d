"""`contrib/bench` compares rcfs with other ways to mount files behind HTTP, all measured in one run.

One nginx serves the same bytes to all of them: as plain files to the peers, and as a RingCentral platform of
static answers to rcfs. Its access log tells how many requests each of them sent.
"""
