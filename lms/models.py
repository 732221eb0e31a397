"""Every table, imported in one place for migrations and checks."""

from __future__ import annotations

from lms.checkout.imports import models as imports
from lms.core import models as core
from lms.coupons import models as coupons
from lms.courses import models as courses
from lms.enrollments import models as enrollments
from lms.learning import models as learning
from lms.media import models as media
from lms.media.captions import models as captions
from lms.payments import dispute_models as disputes
from lms.payments import models as payments
from lms.platform import models as platform
from lms.users import models as users
from tenants import models as tenants
from tenants.base import PlatformBase, TenantBase

ROOMS = (
    *(tenants, core, users, media, captions, courses, payments, disputes, coupons),
    *(enrollments, learning, imports, platform),
)
TENANT_TABLES = TenantBase.metadata
PLATFORM_TABLES = PlatformBase.metadata
