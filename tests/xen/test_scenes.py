# SPDX-License-Identifier: Apache-2.0
"""How the laboratory's checks are begun over when the emulation ended a guest (dom0_scenes.sh), without Xen: test_scenes.py"""

import subprocess
import tempfile
import unittest
from pathlib import Path

import tap

SCENES = Path(__file__).with_name('dom0_scenes.sh')
# What dom0 has of Xen: its messages since the last time, which a scene's command puts there.
XL = '#!/bin/sh\ncat "$FOLDER/said" 2>/dev/null\n: >"$FOLDER/said"\n'
BEGIN = 'number=0 patience=1 scratch=$FOLDER\n. "$SCENES"\nguests_destroy() { echo destroyed; }\nusleep() { :; }\n'


def dump(domain, rip, context=None, processor=0):
    """As Xen 4.17 writes it; a line of another guest before it."""
    return (f'(XEN) d{domain + 1}v0 something else\n'
            f'(XEN) d{domain}v{processor} Triple fault - invoking HVM shutdown action 1\r\n'
            f'(XEN) *** Dumping Dom{domain} vcpu#{processor} state: ***\r\n'
            '(XEN) ----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----\r\n'
            '(XEN) CPU:    0\r\n'
            f'(XEN) RIP:    {rip}\r\n'
            f'(XEN) RFLAGS: 0000000000000246   CONTEXT: {context or f"hvm guest (d{domain}v{processor})"}\r\n'
            '(XEN) rax: 00000000a251e000   rbx: 0000000000000001   rcx: 0000000000000001\r\n')


EMULATION = 'e008:[<ffff82d0402044a5>]'
CRASH = '(XEN) domain_crash called from x86/hvm.c:1\n(XEN) Domain 3 (vcpu#0) crashed on cpu#0:\n'


class Scenes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / 'xl').write_text(XL)
        (self.folder / 'xl').chmod(0o755)

    def said(self, script, shell=('/bin/busybox', 'sh'), text=''):
        if not Path(shell[0]).exists():
            shell = ('sh',)
        done = subprocess.run([*shell, '-c', BEGIN + script], input=text, capture_output=True, text=True, timeout=60,
                              env={'PATH': f'{self.folder}:/usr/bin:/bin', 'FOLDER': str(self.folder), 'SCENES': str(SCENES)})
        self.assertEqual(done.stderr, '')
        return [line for line in done.stdout.splitlines() if not line.startswith('seen')]

    def ends(self, text):
        return self.said("tr -d '\\r' | guest_ends", text=text)

    def test_the_fault_is_told_from_others(self):
        self.assertEqual(self.ends(dump(7, EMULATION)), ['emulation 7'])
        self.assertEqual(self.ends(dump(12, EMULATION, processor=1)), ['emulation 12'])
        for rip in ('0033:[<0000000000444ce0>]', '0008:[<0000000000000028>]', '0010:[<ffffffff81073e05>]',
                    '0010:[<ffff82d0402044a5>]', 'e008:[<ffffffff81073e05>]', 'e008:[<ffff82d0802044a5>]',
                    'e008:[<ffff82d0402044>]', 'e008:[<0000000000000028>]'):
            self.assertEqual(self.ends(dump(7, rip)), ['other 7'], rip)
        self.assertEqual(self.ends(dump(7, EMULATION, 'hypervisor')), ['other 7'])
        self.assertEqual(self.ends(dump(7, EMULATION, 'hvm guest (d17v0)')), ['other 7'])
        self.assertEqual(self.ends(CRASH), ['other 3'])

    def test_a_dump_that_is_cut_off_says_nothing(self):
        text = dump(7, EMULATION)
        self.assertEqual(self.ends(text[:text.index('(XEN) RFLAGS')]), [])
        self.assertEqual(self.ends('(XEN) RIP:    e008:[<ffff82d0402044a5>]\n'), [])

    def test_each_guest_is_told(self):
        self.assertEqual(self.ends(dump(1, EMULATION) + CRASH + dump(2, '0033:[<0000000000444ce0>]') + dump(4, EMULATION)),
                         ['emulation 1', 'other 3', 'other 2', 'emulation 4'])

    def scene(self, *attempts, after=''):
        """Each attempt: a verdict and what Xen says during it. The last one is repeated."""
        cases = ''
        for number, (status, text) in enumerate(attempts, 1):
            (self.folder / f'attempt-{number}').write_text(text)
            pattern = '*' if number == len(attempts) else number
            cases += f'{pattern}) cat "$FOLDER/attempt-{number}" >>"$FOLDER/said"; verdict {status} check;;\n'
        return self.said('check() { tries=$((tries + 1)); verdict 0 begins; case $tries in\n' + cases + 'esac; }\n'
                         'scene check\n' + after + 'echo "tries $tries"; scenes_end')

    def test_a_scene_is_begun_over(self):
        said = self.scene((1, dump(2, EMULATION)), (0, ''))
        self.assertEqual(said, ['TAP # check is begun over: domain 2 ended by the emulation', 'destroyed', 'TAP ok 1 - begins',
                                'TAP ok 2 - check', 'tries 2',
                                'TAP # 1 repeats because guests ended by the emulation', 'TAP 1..2'])

    def test_not_for_ever(self):
        said = self.scene((1, dump(2, EMULATION)))
        self.assertEqual(said.count('destroyed'), 3)
        self.assertEqual(said[-5:], ['TAP ok 1 - begins', 'TAP not ok 2 - check', 'tries 4',
                                     'TAP # 3 repeats because guests ended by the emulation', 'TAP 1..2'])

    def test_other_ends_fail_at_once(self):
        for text in ('', dump(2, '0033:[<0000000000444ce0>]'), CRASH, dump(2, EMULATION) + CRASH,
                     dump(2, EMULATION) + dump(4, '0010:[<ffffffff81073e05>]')):
            said = self.scene((1, text), (0, ''))
            self.assertEqual(said, ['TAP ok 1 - begins', 'TAP not ok 2 - check', 'tries 1',
                                    'TAP # 0 repeats because guests ended by the emulation', 'TAP 1..2'], text)

    def test_the_fault_of_an_earlier_scene_is_no_excuse(self):
        said = self.scene((0, dump(2, EMULATION)), after='other() { verdict 1 fails; }\nscene other\n')
        self.assertEqual(said[:3], ['TAP ok 1 - begins', 'TAP ok 2 - check', 'TAP not ok 3 - fails'])
        self.assertIn('TAP # 0 repeats because guests ended by the emulation', said)

    def test_what_an_earlier_attempt_logged_does_not_count(self):
        (self.folder / 'fault').write_text(dump(2, EMULATION))
        said = self.said('tries=0\ncheck() {\ntries=$((tries + 1))\n'
                         '[ $tries = 2 ] || { echo ready >>"$FOLDER/mediator.log"; cat "$FOLDER/fault" >"$FOLDER/said"; }\n'
                         'logged mediator ready; verdict $? logged\nverdict $((tries == 1)) first\n}\nscene check')
        self.assertEqual(said[-2:], ['TAP not ok 1 - logged', 'TAP ok 2 - first'])

    def test_nothing_is_waited_for_after_the_fault(self):
        (self.folder / 'said').write_text(dump(2, EMULATION))
        said = self.said('patience=1000000 messages_mark=0\nuntil_true 1000000 false; echo "$? $fault"\n'
                         'until_true 1000000 false; echo $?\nuntil_true 1 true; echo $?')
        self.assertEqual(said, ['1 2', '1', '0'])

    def test_a_guest_is_started_again_only_if_the_emulation_ended_it(self):
        for text, status in (('', 1), (dump(5, EMULATION), 0), (dump(6, EMULATION), 1), (dump(5, '0033:[<0000000000444ce0>]'), 1)):
            (self.folder / 'said').write_text(text)
            said = self.said('may_start green; echo "$? $repeats"\ndomain_is green 4\ndomain_is red 6\ndomain_is green 5\n'
                             'may_start green >/dev/null; echo "$? $repeats"')
            self.assertEqual(said, ['0 0', f'{status} {1 - status}'], text)


if __name__ == '__main__':
    tap.main()
