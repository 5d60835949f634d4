"""A headless Chromium, driven over its debugging pipe: open a page, move the pointer, look."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
from support.absence import skip_or_fail

#: WebGL by the CPU, since test machines have no GPU.
OPTIONS = ('--headless', '--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
           '--enable-unsafe-swiftshader', '--no-first-run', '--disable-background-networking')
ANSWER_SEC = 240.0  # a loaded machine draws a page in a minute


def chromium():
    """Return the program. Where it is not installed, the test is skipped, or fails in CI."""
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if program := shutil.which(name):
            return program
    skip_or_fail('Chromium is not installed: apt-get install chromium')


class Browser:
    """One window with one page."""

    def __init__(self, url, folder, size=(1600, 900)):
        """Open a page. ``folder`` keeps the profile, and the log of all network requests."""
        program = chromium()
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        self._buffer, self._count = b'', 0
        self._net_log = Path(folder).with_suffix('.netlog')
        command = [program, *OPTIONS, f'--log-net-log={self._net_log}',
                   '--remote-debugging-pipe', f'--user-data-dir={folder}',
                   f'--window-size={size[0]},{size[1]}', 'about:blank']
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        shell = f'exec 3<&{to_child} 4>&{from_child}; exec "$@"'
        self._process = subprocess.Popen(
            ['bash', '-c', shell, 'chromium', *command], pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_child)
        os.close(from_child)
        self._session = None
        target = self._call('Target.createTarget', url=url)['targetId']
        self._session = self._call('Target.attachToTarget', targetId=target,
                                   flatten=True)['sessionId']
        self._call('Page.bringToFront')

    def _call(self, method, **parameters):
        self._count += 1
        message = {'id': self._count, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        deadline = time.monotonic() + ANSWER_SEC
        while True:
            answer = self._read(deadline, method)
            if answer.get('id') == self._count:
                assert 'error' not in answer, f'{method}: {answer["error"]}'
                return answer['result']

    def _read(self, deadline, method):
        while b'\0' not in self._buffer:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._in], [], [], left)[0]
            assert ready, f'Chromium did not answer {method} within {ANSWER_SEC} s'
            data = os.read(self._in, 1 << 20)
            assert data, f'Chromium ended at {method}'
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b'\0')
        return json.loads(text)

    def screenshot(self):
        """Return the page as (H, W, 3) uint8 RGB."""
        data = self._call('Page.captureScreenshot', format='png')['data']
        image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        return image[..., ::-1]

    def mouse(self, kind, x, y, **parameters):
        """Send an event of the mouse: mouseMoved, mousePressed or mouseReleased."""
        self._call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **parameters)

    def click(self, x, y):
        """Move to a place, and click."""
        self.mouse('mouseMoved', x, y)
        for kind in ('mousePressed', 'mouseReleased'):
            self.mouse(kind, x, y, button='left', clickCount=1)
            time.sleep(0.3)  # a frame of the page lies between the two

    def close(self):
        """End the browser. It writes its log of the network as it ends."""
        try:
            self._session = None
            self._call('Browser.close')
            self._process.wait(60)
        except (AssertionError, subprocess.TimeoutExpired):
            pass
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._in)
            os.close(self._out)

    def requested(self):
        """Return the URLs of all requests of the whole browser, once it is closed.

        Those of the page, its workers, and of Chromium itself.
        """
        text = self._net_log.read_text(errors='replace')
        return set(re.findall(r'"url":"((?:[^"\\]|\\.)*)"', text))
