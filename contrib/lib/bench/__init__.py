"""`contrib/bench`: rcfs beside other ways to mount files that lie behind HTTP, all measured in one run.

One nginx serves the same bytes to everybody: as plain files to the peers, and as a RingCentral platform of
static answers to rcfs. Its access log tells how many requests each of them needed.
"""
