"""Postroom inside FastAPI: a dependency that gives a path function the application's mailer.

Owns the annotation `PostroomMailer` alone; lifespan and mailer are Starlette's, which FastAPI is made of. Applications import
this, and their tests override `get_mailer`.
"""

from typing import Annotated, TypeAlias

from fastapi import Depends

from postroom.mailer import AnyMailer
from postroom.starlette import get_mailer, lifespan

__all__ = ["PostroomMailer", "get_mailer", "lifespan"]

PostroomMailer: TypeAlias = Annotated[AnyMailer, Depends(get_mailer)]
