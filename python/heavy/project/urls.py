# SPDX-License-Identifier: Apache-2.0
from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("admin/", admin.site.urls), path("", views.index), path("page/<int:number>", views.page),
    path("backend", views.backend),
]
