"""A program in place of the one that draws figures: it answers a line for a line."""

import json
import os
import signal
import sys


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        answer = {"id": question["id"]}
        folder = question.get("folder", "")
        if question["do"] == "assets":
            say({**answer, "files": {"bokeh.js": __file__, "other.html": __file__}})
        elif folder.endswith("dies"):
            say({**answer, "figure": {"name": "first"}})
            os.kill(os.getpid(), signal.SIGKILL)
        elif folder.endswith("nonsense"):
            print("no JSON", flush=True)
        elif folder.endswith("wrong"):
            say({**answer, "error": "these results cannot be drawn"})
        elif question["do"] == "tables":
            say({**answer, "text": f"Tables of {folder}\n"})
            say({**answer, "done": True})
        else:
            for name in ("first", os.getpid()):
                say({**answer, "figure": {"name": name, "question": question}})
            say({**answer, "done": True})


def say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
