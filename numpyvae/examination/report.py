"""What an examination found, as text and as HTML."""
from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass

OK, WRONG, NOT_CHECKED, NOT_DECIDED = "ok", "wrong", "not checked", "not decided"
WIDTH = 100
INDENT = " " * 30


def digits(value: float, n: int = 4) -> str:
    """A number to n digits, without an exponent below a million: 500, not 5e+02."""
    return f"{float(f'{value:.{n}g}'):g}"


@dataclass(frozen=True)
class Finding:
    """One check: what was asked, the answer, the numbers it rests on, and the mistake that would explain them.

    verdict  : "ok", "wrong", "not checked", or "not decided" where the draws ran out first
    evidence : the numbers; for "not checked" and "not decided", why
    mistake  : the likely mistake and what to do, empty unless the verdict is "wrong"
    """

    check: str
    verdict: str
    evidence: str
    mistake: str = ""


@dataclass(frozen=True)
class Examination:
    """The findings of `examine`, one for each check; prints as text, and as a table in a notebook.

    report["sampling"] is the finding with that name; report.ok tells whether nothing was found wrong, and
    report.undecided which checks could not tell: only where that is empty too, the VAE has passed.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no check says "wrong".  A check that was not made, or could not tell, does not count against it."""
        return not self.wrong

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(finding.check for finding in self.findings if finding.verdict == WRONG)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The names of the checks that could not tell with the draws that they were allowed."""
        return tuple(finding.check for finding in self.findings if finding.verdict == NOT_DECIDED)

    def __getitem__(self, check: str) -> Finding:
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(f"no check is called {check!r}; the checks are {', '.join(f.check for f in self.findings)}")

    @property
    def summary(self) -> str:
        """How many checks gave which verdict, and a word where that is no pass though nothing was found wrong."""
        counts = [(sum(f.verdict == verdict for f in self.findings), verdict)
                  for verdict in (WRONG, OK, NOT_CHECKED, NOT_DECIDED)]
        words = ", ".join(f"{n} {verdict}" for n, verdict in counts if n or verdict != NOT_DECIDED)
        if self.undecided and not self.wrong:
            words = f"not decided, which is no pass ({words})"
        return words

    def __str__(self) -> str:
        lines = [f"Examination: {self.summary}", ""]
        for finding in self.findings:
            text = textwrap.wrap(finding.evidence, WIDTH - len(INDENT)) or [""]
            lines.append(f"{finding.verdict:<12}  {finding.check:<16}{text[0]}")
            lines += [INDENT + line for line in text[1:]]
            if finding.mistake:
                lines += [INDENT + line for line in textwrap.wrap("-> " + finding.mistake, WIDTH - len(INDENT))]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><b>{f.verdict}</b></td><td>{html.escape(f.check)}</td>"
            f"<td style='text-align:left'>{html.escape(f.evidence)}"
            + (f"<br><b>Likely mistake:</b> {html.escape(f.mistake)}" if f.mistake else "") + "</td></tr>"
            for f in self.findings)
        return (f"<p>Examination: {self.summary}</p><table><tr><th>verdict</th><th>check</th>"
                f"<th style='text-align:left'>evidence</th></tr>{rows}</table>")
