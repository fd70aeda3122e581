"""The example shop's two views: one sends a mail with Django's own classes, the other tells what became of it."""

import json
from uuid import UUID

from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from postroom.django import get_mailer
from postroom.errors import PostroomError


@require_POST
def order(request: HttpRequest) -> JsonResponse:
    """Take an order and confirm it by mail."""
    message = EmailMultiAlternatives("Your order", "It is on its way.", to=[json.loads(request.body)["email"]])
    message.attach_alternative("<p>It is <b>on its way</b>.</p>", "text/html")
    message.attach("terms.txt", "Pay within a week.", "text/plain")
    try:
        # Redis is asked when the request's transaction commits: should it be away, Django answers 500 and logs why.
        message.send()
    except PostroomError as refused:
        return JsonResponse(refused.as_dict(), status=400)
    return JsonResponse({"receipt": message.postroom_receipt_id}, status=202)  # type: ignore[attr-defined]  # the backend's


@require_GET
def state(_: HttpRequest, receipt_id: UUID) -> JsonResponse:
    """Tell where an order's mail is."""
    return JsonResponse({"state": get_mailer().receipt(str(receipt_id)).state()})
