"""The rows of the catalogue, as text to be read by people first.

A dash means "not established".  Windows, output and the shortest cacheable prefix are in
tokens.  In the last column `>2027-09-22` is a promise not to retire before that day and
`!2026-11-30` the day of retirement, to come or past.  Prices are US dollars per million
tokens; a name ending in `+fast` is fast mode, in `>100000` the price of longer prompts.
`checked` is the date of the text that was read.

Windows, limits and days come from the models overview, the prompt-caching page and the
deprecations page of platform.claude.com (2026-08-22, later copies to 2026-11-09) and from the
deprecated ids listed in anthropic 2.12.0.
"""

from __future__ import annotations

__all__ = ["ALIASES", "MODELS", "PRICES", "SOURCES"]

MODELS = """
id                       line    released    window output words least price      us  end
claude-fable-5-2         fable   2026-11-09  1M     128k   new   -     fable-5.2  yes -
claude-mythos-5-2        mythos  2026-11-09  1M     128k   new   -     fable-5.2  yes -
claude-haiku-5-5         haiku   2026-10-07  1M     128k   new   512   haiku-5.5  yes >2027-10-07
claude-sonnet-5-5        sonnet  2026-09-28  1M     128k   new   512   sonnet-5.5 yes >2027-09-28
claude-opus-5-5          opus    2026-09-22  1M     128k   new   512   opus-5.5   yes >2027-09-22
claude-fable-5-1         fable   2026-09-01  1M     128k   new   512   fable-5.1  yes >2027-09-01
claude-mythos-5-1        mythos  -           1M     128k   new   512   fable-5.1  yes >2027-09-01
claude-opus-5            opus    2026-07-24  1M     128k   new   512   opus-5     yes >2027-07-24
claude-sonnet-5          sonnet  2026-06-30  1M     128k   new   1024  sonnet-5   yes >2027-06-30
claude-fable-5           fable   -           1M     128k   new   512   fable-5    yes >2027-06-09
claude-mythos-5          mythos  -           1M     128k   new   512   fable-5    yes -
claude-opus-4-8          opus    -           1M     128k   new   1024  opus-5     yes >2027-05-28
claude-opus-4-7          opus    -           1M     128k   new   2048  opus-4.5   yes >2027-04-16
claude-sonnet-4-6        sonnet  -           1M     128k   old   1024  sonnet-4.5 yes >2027-02-17
claude-opus-4-6          opus    -           1M     128k   old   4096  opus-4.5   yes >2027-02-05
claude-opus-4-5          opus    -           200k   64k    old   4096  opus-4.5   no  >2026-11-24
claude-haiku-4-5         haiku   -           200k   64k    old   4096  haiku-4.5  no  >2026-10-15
claude-sonnet-4-5        sonnet  2025-09-29  200k   64k    old   1024  sonnet-4.5 no  !2026-11-30
claude-mythos-preview    mythos  -           1M     -      -     2048  -          no  !2026-06-30
claude-opus-4-1          opus    -           -      -      old   -     opus-4     no  !2026-08-05
claude-opus-4-0          opus    -           -      -      old   -     opus-4     no  !2026-06-15
claude-sonnet-4-0        sonnet  -           -      -      old   -     sonnet-4   no  !2026-06-15
claude-3-7-sonnet-latest sonnet  -           -      -      old   -     sonnet-4   no  !2026-02-19
claude-3-5-haiku-latest  haiku   -           -      -      old   -     haiku-3.5  no  !2026-02-19
claude-3-opus-latest     opus    -           -      -      old   -     opus-3     no  !2026-01-05
claude-3-haiku-20240307  haiku   -           -      -      old   -     haiku-3    no  !2026-04-20
"""

ALIASES = """
claude-opus-4-5          claude-opus-4-5-20251101
claude-haiku-4-5         claude-haiku-4-5-20251001
claude-sonnet-4-5        claude-sonnet-4-5-20250929
claude-opus-4-1          claude-opus-4-1-20250805
claude-opus-4-0          claude-opus-4-20250514
claude-sonnet-4-0        claude-sonnet-4-20250514
claude-3-7-sonnet-latest claude-3-7-sonnet-20250219
claude-3-5-haiku-latest  claude-3-5-haiku-20241022
claude-3-opus-latest     claude-3-opus-20240229
"""

PRICES = """
price             input  write-5m  write-1h  read   output  checked     source
fable-5.2         8      10        16        0.20   40      2026-11-09  release-5.2
fable-5.1         10     12.50     20        0.25   50      2026-09-01  release-5.1
fable-5           10     12.50     20        1.00   50      2026-08-22  pricing
opus-5.5          4      5         8         0.20   20      2026-10-07  models
opus-5.5+fast     8      10        16        0.40   40      2026-10-07  resold
opus-5            5      6.25      10        0.50   25      2026-08-22  pricing
opus-5+fast       10     12.50     20        1.00   50      2026-08-22  fast
opus-4.5          5      6.25      10        0.50   25      2026-08-22  pricing
opus-4            15     18.75     30        1.50   75      2026-08-22  pricing
opus-3            15     18.75     30        1.50   75      2026-02-05  pricing-old
sonnet-5.5        2      2.50      4         0.10   10      2026-10-24  audits
sonnet-5          2      2.50      4         0.20   10      2026-08-22  pricing
sonnet-4.5        3      3.75      6         0.30   15      2026-08-22  pricing
sonnet-4          3      3.75      6         0.30   15      2026-02-05  pricing-old
haiku-5.5         0.10   0.125     0.20      0.01   0.50    2026-10-24  haiku-5.5
haiku-5.5>100000  0.50   0.625     1.00      0.05   2.50    2026-10-24  haiku-5.5
haiku-4.5         1      1.25      2         0.10   5       2026-08-22  pricing
haiku-3.5         0.80   1         1.60      0.08   4       2026-02-05  pricing-old
haiku-3           0.25   0.30      0.50      0.03   1.25    2026-02-05  pricing-old
"""

SOURCES = """
pricing      platform.claude.com/docs/en/about-claude/pricing
pricing-old  platform.claude.com/docs/en/about-claude/pricing, the copy whose newest row is Opus 4.6
release-5.2  release notes of 2026-11-09; cache columns from a third party (rightsize 0.10.2)
release-5.1  release notes of 2026-09-01
models       the model's own page under platform.claude.com/docs/en/models
haiku-5.5    platform.claude.com/docs/en/models/haiku-5-5/overview; claudit 1.9.2 agrees
audits       claudit 1.9.2 and PromptFuel 1.0.23, read off the live page; reads fell on 2026-10-07
fast         platform.claude.com/docs/en/build-with-claude/fast-mode; cache rates by its multipliers
resold       a reseller's price page only (vercel.com/ai-gateway); cache rates by the multipliers
"""
