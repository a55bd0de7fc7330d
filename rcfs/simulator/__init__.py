"""A RingCentral platform to run against: for the demo, for tests and for benchmarks.

It plays an account made from a seed on two origins of loopback, with the real rate limits, faults on
demand, and a journal of every request. It needs the ``demo`` extra of the package.
"""

from rcfs.simulator._config import Credentials as Credentials
from rcfs.simulator._config import Endpoints as Endpoints
from rcfs.simulator._config import LoginSpec as LoginSpec
from rcfs.simulator._config import SimulatorConfig as SimulatorConfig
from rcfs.simulator._quirks import Quirk as Quirk
from rcfs.simulator._server import Simulator as Simulator
from rcfs.simulator._server import run_simulator as run_simulator
from rcfs.simulator.account._account import AccountSpec as AccountSpec
from rcfs.simulator.account._account import SimAccount as SimAccount
from rcfs.simulator.account._account import TruthRow as TruthRow
from rcfs.simulator.account._account import latest_present_s as latest_present_s
from rcfs.simulator.account._failing import FAILING_FAX as FAILING_FAX
from rcfs.simulator.account._failing import FAILING_SMS as FAILING_SMS
from rcfs.simulator.faults._faults import all_kinds as all_kinds
