"""Every way in which the simulator differs from the recordings, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from labkit.sim.dates import EPOCH
from tests.sim.recorded_exchanges import Recorded

LATEST = "9999-12-31"


@dataclass(frozen=True)
class Reason:
    """Why differences whose name matches `what` are all right.

    It holds for recordings whose name begins with `files` and that are older than the day
    `before`; a recording that kept no date counts as old.
    """

    what: str
    why: str
    files: str = ""
    before: str = LATEST

    def explains(self, difference: str, each: Recorded) -> bool:
        """Whether this is the reason of a difference found in a recording."""
        day = datetime.fromtimestamp(EPOCH + each.at, UTC).date().isoformat()
        is_old = "date" not in each.headers or day < self.before
        is_meant = is_old and each.name.startswith(self.files)
        return is_meant and re.fullmatch(self.what, difference) is not None


NEWER = "the simulator sends what the API sends today; this began on the day or shortly before"
KEYS = r"(key|message_start key|message_delta key|content_block_start tool_use key) added: "
WHOLE = rf"{KEYS}(\.delta|\.message|\.result\.message)?"
UNSERVED = "a feature that is not simulated: "
ANYTHING = r"(status|key|events|value|\w+ key|\w+ text key|\w+ input_json key).*"

REASONS = (
    Reason(
        r"header left out: (connection|transfer-encoding|content-length|content-encoding|vary)",
        "how the bytes travel, which is the door's matter",
    ),
    Reason(
        "header left out: (strict-transport-security|content-security-policy|x-robots-tag|server|"
        "cf-cache-status|cf-ray|server-timing|via|traceresponse|x-cloud-trace-context|set-cookie)",
        "put on by the network in front of the API",
    ),
    Reason("header left out: cache-control", "a proxy's, on one 529", "dd-trace-py--error_429"),
    Reason(
        "header left out: retry-after",
        "on a few answers with status 200, where it means nothing",
        before="2025-12-01",
    ),
    Reason(
        "header added: x-envoy-upstream-service-time",
        "on 25 recordings; the simulator always sends it, so that a replay knows its times",
    ),
    Reason(
        "header added: (request-id|anthropic-organization-id)",
        "this project's recorder left them out",
        "chatlas--",
    ),
    Reason("header added: anthropic-organization-id", NEWER, before="2025-02-01"),
    Reason("header added: anthropic-workspace-id", NEWER, before="2026-08-11"),
    Reason(r"header added: anthropic-ratelimit-(in|out)put-tokens-\w+", NEWER, before="2024-11-01"),
    Reason(
        r"header added: anthropic-ratelimit-requests-\w+",
        "three recordings have nine of the twelve, all others of their days have twelve",
        before="2025-12-01",
    ),
    Reason(
        r"header added: anthropic-ratelimit-(output-)?tokens-\w+",
        "a 429 that was quoted in public in 2025 had all twelve, this one six",
        "ruby_llm--error_429",
    ),
    Reason(
        "header x-should-retry: true",
        "the documentation says that a 500 is worth a retry, and so does the simulator",
        "openllmetry--error_500",
    ),
    Reason(rf"{WHOLE}\.(container|diagnostics)", NEWER, before="2026-09-01"),
    Reason(rf"{WHOLE}\.stop_details", NEWER, before="2026-04-01"),
    Reason(rf"{WHOLE}\.usage\.inference_geo", NEWER, before="2026-02-01"),
    Reason(rf"{WHOLE}\.usage\.service_tier", NEWER, before="2025-05-01"),
    Reason(rf"{WHOLE}\.usage\.cache_creation(\.\w+)?", NEWER, before="2025-08-01"),
    Reason(
        rf"{WHOLE}\.usage\.(input_tokens|cache_(creation|read)_input_tokens)",
        NEWER,
        before="2025-08-01",
    ),
    Reason(
        rf"{WHOLE}\.usage\.output_tokens_details(\.thinking_tokens)?", NEWER, before="2026-05-01"
    ),
    Reason(rf"{KEYS}\.(content\[\]|content_block)\.caller(\.type)?", NEWER, before="2026-03-01"),
    Reason("(error )?key added: .request_id", NEWER, before="2025-08-20"),
    Reason(
        r"key added: \.data\[\]\.(lifecycle|deprecated_at|retires_at|line|max_\w+|capabilities.*)",
        NEWER,
        "chatlas--models_list",
        before="2026-10-07",
    ),
    Reason(
        r"value of \.model: .* for 'claude-3-5-sonnet-20240620'",
        "the catalogue does not go back to that model, so another one is asked",
        "openllmetry--",
    ),
    Reason(
        r"key added: \.content\[\]\.(thinking|signature)",
        "a model may choose not to think; the simulated ones think where thinking is on",
        "pydantic-ai--count_tokens_then_message_adaptive",
    ),
    *(
        Reason(
            "value of cache (reads|writes): .*",
            "what an earlier run of the same test had written could still be read",
            files,
        )
        for files in (
            "dd-trace-py--cache_stream_read",
            "pydantic-ai--cache_read_and_count_tokens",
            "pydantic-ai--cache_5m_write_then_read",
        )
    ),
    Reason(r"status 404 for 200", UNSERVED + "Text Completions", "openllmetry--legacy_complete"),
    Reason(
        r"key added: \.content\[\](\.\w+)?|value of \.stop_reason: .*",
        "the real summary did not fit max_tokens, so that there is none; the simulated one does",
        "braintrust-python--compaction",
    ),
    Reason(
        r"message_delta key left out: \.usage\.server_tool_use(\.\w+)?",
        UNSERVED + "the server's own tools",
        "pydantic-ai--compaction",
    ),
    Reason(ANYTHING, UNSERVED + "the files API, code execution", "pydantic-ai--cache_5m_code_exec"),
    Reason(ANYTHING, UNSERVED + "input transformations", "pydantic-ai--stream_fable_5_1_input"),
    Reason(ANYTHING, UNSERVED + "task budgets", "pydantic-ai--message_task_budget"),
    Reason(ANYTHING, UNSERVED + "citations", "ruby_llm--stream_citations"),
    Reason(ANYTHING, UNSERVED + "MCP tools", "pydantic-ai--mcp_stream"),
    *(
        Reason(ANYTHING, UNSERVED + "the server's own tools", files)
        for files in (
            "dd-trace-py--tools_search_stream",
            "llm-anthropic--server_tool_web_search",
            "pydantic-ai--server_tool_advisor",
            "pydantic-ai--server_tool_code_execution",
            "pydantic-ai--server_tool_tool_search",
            "pydantic-ai--server_tool_web_fetch",
            "pydantic-ai--stream_pause_turn_web_search",
            "ruby_llm--server_tool_web_search",
        )
    ),
)
