"""A headless Chromium, driven by its debugging protocol through pipes: no more to install."""

import json
import os
import select
import subprocess
import sys
import time

#: How long the browser may take for anything [s]; a limit, never a wait.
PATIENCE_S = 120.0
#: Chromium reads commands from file 3, and writes answers into file 4.
_WITH_PIPES = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page; ``errors`` has what its console complained of."""

    def __init__(self, chromium, profile):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                '-c',
                _WITH_PIPES,
                str(commands),
                str(answers),
                chromium,
                '--headless',
                '--no-sandbox',
                '--disable-gpu',
                '--remote-debugging-pipe',
                f'--user-data-dir={profile}',
                '--window-size=1200,1000',
                'about:blank',
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._data, self._number, self._session = b'', 0, None
        self.errors = []
        targets = self._call('Target.getTargets')['targetInfos']
        page = next(target for target in targets if target['type'] == 'page')
        attached = self._call('Target.attachToTarget', targetId=page['targetId'], flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log'):
            self._call(f'{domain}.enable')

    def open(self, url):
        self._call('Page.navigate', url=url)

    def evaluate(self, expression):
        """Return the value of an expression in the page."""
        answer = self._call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def wait_for(self, expression):
        """Wait until an expression in the page is true, and return its value."""
        deadline_s = time.monotonic() + PATIENCE_S
        expression = f'(() => {{ try {{ return {expression} }} catch {{ return null }} }})()'
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline_s, (
                f'{expression} did not come true on\n'
                + str(self.evaluate('document.body.innerText'))
                + f'\n{self.errors}'
            )
            time.sleep(0.1)
        return value

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        os.close(self._commands)
        os.close(self._answers)

    def _call(self, method, **parameters):
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters}
        if self._session is not None:
            message['sessionId'] = self._session
        os.write(self._commands, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._read()
            if answer.get('id') == self._number:
                assert 'error' not in answer, answer
                return answer['result']
            if answer.get('method') in ('Runtime.exceptionThrown', 'Log.entryAdded'):
                self.errors.append(json.dumps(answer['params']))

    def _read(self):
        while b'\0' not in self._data:
            assert select.select([self._answers], [], [], PATIENCE_S)[0], 'the browser hangs'
            data = os.read(self._answers, 1 << 20)
            assert data, 'the browser ended'
            self._data += data
        answer, self._data = self._data.split(b'\0', 1)
        return json.loads(answer)
