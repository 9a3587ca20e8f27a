"""A process that asks `count` asks of the server at `url` and keeps the replies in a workspace folder.

python tests/teacher/worker.py FOLDER URL COUNT [CONCURRENCY]
"""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from kgkit.errors import KgkitError
from kgkit.lock import hold
from kgkit.teacher.asking import Asker
from kgkit.teacher.endpoint import EndpointFacts, EndpointTeacher
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.limits import Policy
from tests.teacher.parts import FastClock, make_ask


async def ask_all(folder: Path, url: str, count: int, concurrency: int) -> int:
    teacher = EndpointTeacher(
        url, EndpointFacts(model="stub"), timeout_s=1.0, concurrency=concurrency
    )
    try:
        with Ledger.open(folder / "ledger.sqlite") as ledger:
            policy = Policy(max_concurrency=concurrency)
            async with Asker(teacher, ledger, policy=policy, clock=FastClock(20)) as asker:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, asker.stop)
                async for _ in asker.answers(make_ask(i) for i in range(count)):
                    pass
                return 130 if asker.ended else 0
    finally:
        await teacher.close()


def main() -> int:
    folder, url, count, *more = sys.argv[1:]
    try:
        with hold(Path(folder) / "workspace.lock"):
            return asyncio.run(ask_all(Path(folder), url, int(count), int((more or ["8"])[0])))
    except KgkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
