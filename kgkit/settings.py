"""The environment, read in this one place. Flags win over the environment, which wins over kgkit.toml."""

from pathlib import Path

import platformdirs
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the environment says. Empty strings count as unset; secrets never print."""

    model_config = SettingsConfigDict(env_prefix="KGKIT_", env_ignore_empty=True, extra="ignore")

    workspace: Path | None = None
    store: str | None = None
    teacher: str | None = None
    model: str | None = None
    content: Path | None = None
    cache_dir: Path = Path(platformdirs.user_cache_dir("kgkit"))
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_API_KEY")
    )
    neo4j_username: str = Field(default="neo4j", validation_alias=AliasChoices("NEO4J_USERNAME"))
    neo4j_password: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("NEO4J_PASSWORD")
    )
    neo4j_database: str = Field(default="neo4j", validation_alias=AliasChoices("NEO4J_DATABASE"))


def read_settings() -> Settings:
    """The settings as the environment has them now."""
    return Settings()
