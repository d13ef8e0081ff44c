"""A headless Chromium, driven over a pipe with the DevTools protocol. It reaches loopback and the disk, nothing else.

https://chromedevtools.github.io/devtools-protocol/: JSON messages that end in a NUL, on the descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.servers import skip_or_fail

WAIT_SECONDS = 20.0
OTHER_HOST = "mirror.test"
"""A name that leads to 127.0.0.1, and that a browser does not hold to be this machine."""

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    " ": (32, " "),
    "Backspace": (8, ""),
    "/": (191, "/"),
}

# The two descriptors must be 3 and 4; a process of its own moves them there, then becomes the browser.
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)


class BrowserError(Exception):
    """The browser answered that a command failed, or did not answer."""


class Browser:
    """A running browser; each page has a profile of its own."""

    def __init__(self, process: subprocess.Popen[bytes], read: int, write: int) -> None:
        self._process = process
        self._read = read
        self._write = write
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """The result of a command; what the browser tells meanwhile goes to ``events``."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer = self._receive(deadline)
            if answer is None:
                raise BrowserError(f"{method}: no answer")
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def listen(self, seconds: float) -> None:
        """Takes in what the browser tells within ``seconds``, or the first of it."""
        message = self._receive(time.monotonic() + seconds)
        if message is not None:
            self.events.append(message)

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                return None
            data = os.read(self._read, 1 << 20)
            if not data:
                raise BrowserError("the browser has gone")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    @contextlib.contextmanager
    def page(self, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
        """An empty page."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            page.send(f"{domain}.enable")
        page.resize(width, height)
        try:
            yield page
        finally:
            self.send("Target.closeTarget", targetId=target)
            self.send("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context

    def send(self, method: str, **parameters: Any) -> Any:
        return self._browser.send(method, self._session, **parameters)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What the page told so far under this name."""
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]

    # ── going somewhere ─────────────────────────────────────────────────────────────────────────────

    def open(self, url: str) -> None:
        """Goes to ``url``; returns when all of it has loaded."""
        loads = len(self.events("Page.loadEventFired"))
        answer = self.send("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        if "loaderId" in answer:  # else the page is the same, and only its fragment is another
            self.wait(lambda: len(self.events("Page.loadEventFired")) > loads, "the page does not load")
        self.settle()

    def back(self) -> None:
        """One step back in the history."""
        history = self.send("Page.getNavigationHistory")
        entry = history["entries"][history["currentIndex"] - 1]
        self.send("Page.navigateToHistoryEntry", entryId=entry["id"])
        self.settle()

    def settle(self) -> None:
        """Waits until two frames were drawn."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Returns when ``condition`` holds; fails with ``what`` where it does not for long."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, what
            self._browser.listen(0.02)

    def wait_for(self, expression: str) -> None:
        """Returns when a JavaScript expression is true."""
        self.wait(lambda: self.evaluate(expression), f"this does not come true: {expression}")

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of the first element, as it is shown."""
        found: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that are shown."""
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter(element => element.checkVisibility()).map(element => element.innerText)"
        )
        return found

    def complaints(self) -> list[str]:
        """Errors of scripts, and what the console and the policy had to say."""
        said = [entry["entry"]["text"] for entry in self.events("Log.entryAdded")]
        said += [str(call["args"]) for call in self.events("Runtime.consoleAPICalled")]
        said += [error["exceptionDetails"]["text"] for error in self.events("Runtime.exceptionThrown")]
        said += [json.dumps(issue["issue"]) for issue in self.events("Audits.issueAdded")]
        return said

    def requests(self) -> list[str]:
        """Every URL that was asked for."""
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]

    def accessible(self) -> list[tuple[str, str]]:
        """(role, name) of every node that assistive technology sees."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]

    # ── doing ───────────────────────────────────────────────────────────────────────────────────────

    def press(self, key: str) -> None:
        """A key, down and up."""
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
        parameters: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "code": key if len(key) > 1 else ""}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **parameters)
        self.send("Input.dispatchKeyEvent", type="keyUp", **parameters)
        self.settle()

    def type(self, text: str) -> None:
        """Text, key by key, where the focus is."""
        for sign in text:
            self.press(sign)

    def click(self, selector: str) -> None:
        """A click of the mouse into the middle of the first element."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def resize(self, width: int, height: int, *, is_phone: bool = False) -> None:
        """The size of the window in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )

    def prefer(self, scheme: str) -> None:
        """``light`` or ``dark``."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def allow_clipboard(self, *permissions: str) -> None:
        self._browser.send("Browser.grantPermissions", permissions=list(permissions), browserContextId=self._context)

    def without_scripts(self) -> None:
        self.send("Emulation.setScriptExecutionDisabled", value=True)

    def screenshot(self, path: Path, *, is_whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        parameters: dict[str, Any] = {"captureBeyondViewport": is_whole}
        if is_whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            parameters["clip"] = {**size, "x": 0, "y": 0, "scale": 1}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", **parameters)["data"]))


@contextlib.contextmanager
def start_browser(work: Path) -> Iterator[Browser]:
    """A browser whose files are all in ``work``; ended with all that it started."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        skip_or_fail("Chromium is not installed")
    arguments = [
        program,
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={work / 'profile'}",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-sync",
        "--hide-scrollbars",
        "--proxy-server=127.0.0.1:9",
        f"--proxy-bypass-list=127.0.0.1;{OTHER_HOST}",
        f"--host-resolver-rules=MAP {OTHER_HOST} 127.0.0.1",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with contextlib.ExitStack() as stack:
        there, write = _pipe(stack)
        read, back = _pipe(stack)
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(there), str(back), *arguments, "about:blank"],
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(work), "LANG": "C.UTF-8"},
                pass_fds=(there, back),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        stack.callback(process.kill)
        os.close(there)
        os.close(back)
        browser = Browser(process, read, write)
        browser.send("Browser.getVersion")
        try:
            yield browser
        finally:
            with contextlib.suppress(BrowserError, OSError):
                browser.send("Browser.close")
                process.wait(WAIT_SECONDS)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe with descriptors from 10 on, out of the way of 3 and 4."""
    ends = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)

    def close() -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)

    stack.callback(close)
    return ends[0], ends[1]
