"""Where the example shop's views are found. Django reads it."""

from django.urls import path

from . import views

urlpatterns = [path("orders", views.order), path("orders/<uuid:receipt_id>", views.state)]
