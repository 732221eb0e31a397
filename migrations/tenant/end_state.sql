CREATE TABLE audit_events (
	id UUID NOT NULL, 
	at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	actor_id UUID, 
	action TEXT NOT NULL, 
	subject_type TEXT NOT NULL, 
	subject_id UUID NOT NULL, 
	before JSONB, 
	after JSONB, 
	request_id TEXT, 
	CONSTRAINT pk_audit_events PRIMARY KEY (id)
);

GRANT SELECT, INSERT ON "audit_events" TO __organization_role__;

CREATE TABLE credit_grants (
	id UUID NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	created_by UUID NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_credit_grants PRIMARY KEY (id), 
	CONSTRAINT ck_credit_grants_amount_positive CHECK (amount > 0)
);

GRANT SELECT, INSERT ON "credit_grants" TO __organization_role__;

CREATE TABLE idempotency_keys (
	user_id UUID NOT NULL, 
	operation TEXT NOT NULL, 
	key TEXT NOT NULL, 
	request_hash TEXT NOT NULL, 
	subject_id UUID NOT NULL, 
	status BIGINT, 
	body TEXT, 
	content_type TEXT, 
	headers JSONB, 
	claimed_until TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, operation, key), 
	CONSTRAINT ck_idempotency_keys_key_length CHECK (length(key) BETWEEN 1 AND 255), 
	CONSTRAINT ck_idempotency_keys_stored_whole CHECK ((status IS NULL) = (body IS NULL))
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "idempotency_keys" TO __organization_role__;

CREATE TABLE payment_accounts (
	provider TEXT NOT NULL, 
	publishable_key TEXT NOT NULL, 
	secret_key TEXT NOT NULL, 
	webhook_secret TEXT NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_payment_accounts PRIMARY KEY (provider)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "payment_accounts" TO __organization_role__;

CREATE TABLE provider_attempts (
	id UUID NOT NULL, 
	subject_id UUID NOT NULL, 
	operation TEXT NOT NULL, 
	attempt BIGINT NOT NULL, 
	key TEXT NOT NULL, 
	token TEXT, 
	provider TEXT NOT NULL, 
	provider_id TEXT, 
	outcome TEXT DEFAULT 'unknown' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	answered_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_provider_attempts PRIMARY KEY (id), 
	CONSTRAINT uq_provider_attempts_subject_id_operation_attempt UNIQUE (subject_id, operation, attempt), 
	CONSTRAINT ck_provider_attempts_outcome_known CHECK (outcome IN ('unknown', 'pending', 'succeeded', 'failed')), 
	CONSTRAINT uq_provider_attempts_key UNIQUE (key)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "provider_attempts" TO __organization_role__;

CREATE TABLE receipt_counters (
	year BIGINT NOT NULL, 
	last_number BIGINT NOT NULL, 
	CONSTRAINT pk_receipt_counters PRIMARY KEY (year), 
	CONSTRAINT ck_receipt_counters_numbers_from_one CHECK (last_number > 0)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "receipt_counters" TO __organization_role__;

CREATE TABLE users (
	id UUID NOT NULL, 
	email TEXT NOT NULL, 
	name TEXT NOT NULL, 
	account_type TEXT NOT NULL, 
	password_hash TEXT, 
	deactivated_at TIMESTAMP WITH TIME ZONE, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT ck_users_account_type_known CHECK (account_type IN ('student', 'instructor', 'admin')), 
	CONSTRAINT ck_users_email_lower_case CHECK (email = lower(email)), 
	CONSTRAINT uq_users_email UNIQUE (email)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "users" TO __organization_role__;

CREATE TABLE webhook_events (
	provider TEXT NOT NULL, 
	account TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	type TEXT NOT NULL, 
	provider_payment_id TEXT, 
	provider_dispute_id TEXT, 
	applied_at TIMESTAMP WITH TIME ZONE, 
	received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_webhook_events PRIMARY KEY (provider, account, event_id)
);

CREATE INDEX ix_webhook_events_unapplied ON webhook_events (provider, provider_payment_id) WHERE applied_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON "webhook_events" TO __organization_role__;

CREATE TABLE courses (
	id UUID NOT NULL, 
	instructor_id UUID NOT NULL, 
	title TEXT NOT NULL, 
	summary TEXT DEFAULT '' NOT NULL, 
	language TEXT DEFAULT 'en' NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_courses PRIMARY KEY (id), 
	CONSTRAINT fk_courses_instructor_id_users FOREIGN KEY(instructor_id) REFERENCES users (id)
);

CREATE INDEX ix_courses_instructor_id ON courses (instructor_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "courses" TO __organization_role__;

CREATE TABLE invitations (
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	token_hash TEXT NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	accepted_at TIMESTAMP WITH TIME ZONE, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_invitations PRIMARY KEY (id), 
	CONSTRAINT fk_invitations_user_id_users FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT uq_invitations_token_hash UNIQUE (token_hash)
);

CREATE INDEX ix_invitations_user_id ON invitations (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "invitations" TO __organization_role__;

CREATE TABLE media_assets (
	id UUID NOT NULL, 
	kind TEXT NOT NULL, 
	content_type TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 TEXT, 
	storage_key TEXT NOT NULL, 
	upload_id TEXT, 
	state TEXT DEFAULT 'awaiting_upload' NOT NULL, 
	error_code TEXT, 
	error_message TEXT, 
	created_by UUID NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_media_assets PRIMARY KEY (id), 
	CONSTRAINT ck_media_assets_state_known CHECK (state IN ('awaiting_upload', 'checking', 'ready', 'failed')), 
	CONSTRAINT ck_media_assets_size_not_negative CHECK (size >= 0), 
	CONSTRAINT uq_media_assets_storage_key UNIQUE (storage_key), 
	CONSTRAINT fk_media_assets_created_by_users FOREIGN KEY(created_by) REFERENCES users (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "media_assets" TO __organization_role__;

CREATE TABLE user_sessions (
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	refresh_id UUID NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	revoked_reason TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_user_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_user_sessions_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_user_sessions_live ON user_sessions (user_id) WHERE revoked_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON "user_sessions" TO __organization_role__;

CREATE TABLE wallets (
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	currency TEXT NOT NULL, 
	balance BIGINT DEFAULT '0' NOT NULL, 
	owed BIGINT DEFAULT '0' NOT NULL, 
	frozen_at TIMESTAMP WITH TIME ZONE, 
	seq BIGINT DEFAULT '0' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_wallets PRIMARY KEY (id), 
	CONSTRAINT uq_wallets_id_currency UNIQUE (id, currency), 
	CONSTRAINT ck_wallets_never_overdrawn CHECK (balance >= 0), 
	CONSTRAINT ck_wallets_owed_not_negative CHECK (owed >= 0), 
	CONSTRAINT ck_wallets_owing_is_frozen CHECK (owed = 0 OR frozen_at IS NOT NULL), 
	CONSTRAINT uq_wallets_user_id UNIQUE (user_id), 
	CONSTRAINT fk_wallets_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "wallets" TO __organization_role__;

CREATE TABLE course_instructors (
	course_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	CONSTRAINT pk_course_instructors PRIMARY KEY (course_id, user_id), 
	CONSTRAINT fk_course_instructors_course_id_courses FOREIGN KEY(course_id) REFERENCES courses (id) ON DELETE CASCADE, 
	CONSTRAINT fk_course_instructors_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_course_instructors_user_id ON course_instructors (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "course_instructors" TO __organization_role__;

CREATE TABLE course_versions (
	id UUID NOT NULL, 
	course_id UUID NOT NULL, 
	number BIGINT NOT NULL, 
	label TEXT DEFAULT '' NOT NULL, 
	state TEXT DEFAULT 'draft' NOT NULL, 
	base_version_id UUID, 
	published_at TIMESTAMP WITH TIME ZONE, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_course_versions PRIMARY KEY (id), 
	CONSTRAINT uq_course_versions_course_id_number UNIQUE (course_id, number), 
	CONSTRAINT uq_course_versions_id_course_id UNIQUE (id, course_id), 
	CONSTRAINT ck_course_versions_state_known CHECK (state IN ('draft', 'published', 'archived')), 
	CONSTRAINT ck_course_versions_published_has_a_date CHECK ((state = 'draft') = (published_at IS NULL)), 
	CONSTRAINT fk_course_versions_course_id_courses FOREIGN KEY(course_id) REFERENCES courses (id) ON DELETE CASCADE, 
	CONSTRAINT fk_course_versions_base_version_id_course_versions FOREIGN KEY(base_version_id) REFERENCES course_versions (id)
);

CREATE UNIQUE INDEX uq_course_versions_draft ON course_versions (course_id) WHERE state = 'draft';

GRANT SELECT, INSERT, UPDATE, DELETE ON "course_versions" TO __organization_role__;

CREATE TABLE videos (
	id UUID NOT NULL, 
	asset_id UUID NOT NULL, 
	state TEXT DEFAULT 'processing' NOT NULL, 
	duration_seconds FLOAT, 
	width BIGINT, 
	height BIGINT, 
	poster_key TEXT, 
	published_job_id UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_videos PRIMARY KEY (id), 
	CONSTRAINT ck_videos_state_known CHECK (state IN ('processing', 'ready', 'failed')), 
	CONSTRAINT uq_videos_asset_id UNIQUE (asset_id), 
	CONSTRAINT fk_videos_asset_id_media_assets FOREIGN KEY(asset_id) REFERENCES media_assets (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "videos" TO __organization_role__;

CREATE TABLE wallet_top_ups (
	id UUID NOT NULL, 
	wallet_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	refunded_amount BIGINT DEFAULT '0' NOT NULL, 
	disputed_amount BIGINT DEFAULT '0' NOT NULL, 
	reversed_amount BIGINT DEFAULT '0' NOT NULL, 
	state TEXT DEFAULT 'created' NOT NULL, 
	provider TEXT NOT NULL, 
	provider_payment_id TEXT, 
	failure_code TEXT, 
	succeeded_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_wallet_top_ups PRIMARY KEY (id), 
	CONSTRAINT fk_wallet_top_ups_wallet_id_currency_wallets FOREIGN KEY(wallet_id, currency) REFERENCES wallets (id, currency), 
	CONSTRAINT uq_wallet_top_ups_id_currency UNIQUE (id, currency), 
	CONSTRAINT uq_wallet_top_ups_provider_provider_payment_id UNIQUE (provider, provider_payment_id), 
	CONSTRAINT ck_wallet_top_ups_state_known CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'canceled')), 
	CONSTRAINT ck_wallet_top_ups_amount_positive CHECK (amount > 0), 
	CONSTRAINT ck_wallet_top_ups_refund_within_amount CHECK (refunded_amount BETWEEN 0 AND amount), 
	CONSTRAINT ck_wallet_top_ups_dispute_within_amount CHECK (disputed_amount BETWEEN 0 AND amount), 
	CONSTRAINT ck_wallet_top_ups_reversed_is_both CHECK (reversed_amount = least(amount, refunded_amount + disputed_amount)), 
	CONSTRAINT fk_wallet_top_ups_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_wallet_top_ups_wallet_id ON wallet_top_ups (wallet_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "wallet_top_ups" TO __organization_role__;

CREATE TABLE modules (
	id UUID NOT NULL, 
	version_id UUID NOT NULL, 
	lineage_id UUID NOT NULL, 
	title TEXT NOT NULL, 
	summary TEXT DEFAULT '' NOT NULL, 
	sequential BOOLEAN DEFAULT false NOT NULL, 
	position BIGINT NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_modules PRIMARY KEY (id), 
	CONSTRAINT uq_modules_version_id_lineage_id UNIQUE (version_id, lineage_id), 
	CONSTRAINT uq_modules_id_version_id UNIQUE (id, version_id), 
	CONSTRAINT fk_modules_version_id_course_versions FOREIGN KEY(version_id) REFERENCES course_versions (id) ON DELETE CASCADE
);

CREATE INDEX ix_modules_order ON modules (version_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON "modules" TO __organization_role__;

CREATE TABLE published_versions (
	version_id UUID NOT NULL, 
	course_id UUID NOT NULL, 
	content_hash TEXT NOT NULL, 
	outline JSONB NOT NULL, 
	rules JSONB NOT NULL, 
	published_by UUID NOT NULL, 
	published_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_published_versions PRIMARY KEY (version_id), 
	CONSTRAINT fk_published_versions_version_id_course_id_course_versions FOREIGN KEY(version_id, course_id) REFERENCES course_versions (id, course_id), 
	CONSTRAINT uq_published_versions_version_id_course_id UNIQUE (version_id, course_id)
);

GRANT SELECT, INSERT ON "published_versions" TO __organization_role__;

CREATE TABLE transcoding_jobs (
	id UUID NOT NULL, 
	video_id UUID NOT NULL, 
	state TEXT DEFAULT 'queued' NOT NULL, 
	attempt BIGINT DEFAULT '0' NOT NULL, 
	fence BIGINT DEFAULT '0' NOT NULL, 
	progress BIGINT DEFAULT '0' NOT NULL, 
	error_code TEXT, 
	error_message TEXT, 
	cpu_seconds FLOAT, 
	started_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_transcoding_jobs PRIMARY KEY (id), 
	CONSTRAINT ck_transcoding_jobs_state_known CHECK (state IN ('queued', 'running', 'succeeded', 'failed')), 
	CONSTRAINT ck_transcoding_jobs_progress_percent CHECK (progress BETWEEN 0 AND 100), 
	CONSTRAINT fk_transcoding_jobs_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id)
);

CREATE INDEX ix_transcoding_jobs_video_id ON transcoding_jobs (video_id);

CREATE UNIQUE INDEX uq_transcoding_jobs_open ON transcoding_jobs (video_id) WHERE state IN ('queued', 'running');

GRANT SELECT, INSERT, UPDATE, DELETE ON "transcoding_jobs" TO __organization_role__;

CREATE TABLE video_captions (
	id UUID NOT NULL, 
	video_id UUID NOT NULL, 
	language TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	label TEXT NOT NULL, 
	content TEXT NOT NULL, 
	cues BIGINT NOT NULL, 
	created_by UUID NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_video_captions PRIMARY KEY (id), 
	CONSTRAINT uq_video_captions_video_id_language_kind UNIQUE (video_id, language, kind), 
	CONSTRAINT uq_video_captions_video_id_label UNIQUE (video_id, label), 
	CONSTRAINT ck_video_captions_kind_known CHECK (kind IN ('subtitles', 'captions')), 
	CONSTRAINT ck_video_captions_label_fits_a_playlist CHECK (label !~ '["\r\n]'), 
	CONSTRAINT ck_video_captions_content_is_small CHECK (octet_length(content) <= 524288), 
	CONSTRAINT ck_video_captions_has_cues CHECK (cues > 0), 
	CONSTRAINT fk_video_captions_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE, 
	CONSTRAINT fk_video_captions_created_by_users FOREIGN KEY(created_by) REFERENCES users (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "video_captions" TO __organization_role__;

CREATE TABLE course_runs (
	id UUID NOT NULL, 
	course_id UUID NOT NULL, 
	version_id UUID NOT NULL, 
	title TEXT NOT NULL, 
	state TEXT DEFAULT 'scheduled' NOT NULL, 
	starts_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	ends_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	enrollment_opens_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	enrollment_closes_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	access_ends_at TIMESTAMP WITH TIME ZONE, 
	capacity BIGINT, 
	price_amount BIGINT DEFAULT '0' NOT NULL, 
	currency TEXT NOT NULL, 
	time_zone TEXT DEFAULT 'UTC' NOT NULL, 
	refund_policy JSONB DEFAULT '[]'::jsonb NOT NULL, 
	approval_required BOOLEAN DEFAULT false NOT NULL, 
	cancelled_at TIMESTAMP WITH TIME ZONE, 
	cancelled_by UUID, 
	cancel_reason TEXT, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_course_runs PRIMARY KEY (id), 
	CONSTRAINT fk_course_runs_published_version FOREIGN KEY(version_id, course_id) REFERENCES published_versions (version_id, course_id), 
	CONSTRAINT ck_course_runs_state_known CHECK (state IN ('draft', 'scheduled', 'archived', 'cancelled')), 
	CONSTRAINT ck_course_runs_starts_before_it_ends CHECK (starts_at < ends_at), 
	CONSTRAINT ck_course_runs_enrollment_opens_before_it_closes CHECK (enrollment_opens_at < enrollment_closes_at), 
	CONSTRAINT ck_course_runs_price_not_negative CHECK (price_amount >= 0), 
	CONSTRAINT ck_course_runs_capacity_positive CHECK (capacity > 0), 
	CONSTRAINT ck_course_runs_access_ends_after_it CHECK (access_ends_at >= ends_at), 
	CONSTRAINT ck_course_runs_cancelled_has_a_date CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)), 
	CONSTRAINT ck_course_runs_cancelled_by_somebody_for_a_reason CHECK (num_nonnulls(cancelled_at, cancelled_by, cancel_reason) IN (0, 3)), 
	CONSTRAINT fk_course_runs_course_id_courses FOREIGN KEY(course_id) REFERENCES courses (id)
);

CREATE INDEX ix_course_runs_course_id ON course_runs (course_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "course_runs" TO __organization_role__;

CREATE TABLE lessons (
	id UUID NOT NULL, 
	module_id UUID NOT NULL, 
	version_id UUID NOT NULL, 
	lineage_id UUID NOT NULL, 
	kind TEXT NOT NULL, 
	title TEXT NOT NULL, 
	content TEXT DEFAULT '' NOT NULL, 
	estimated_seconds BIGINT DEFAULT '0' NOT NULL, 
	required BOOLEAN DEFAULT true NOT NULL, 
	preview BOOLEAN DEFAULT false NOT NULL, 
	weight BIGINT DEFAULT '1' NOT NULL, 
	completion JSONB NOT NULL, 
	availability JSONB, 
	position BIGINT NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_lessons PRIMARY KEY (id), 
	CONSTRAINT uq_lessons_version_id_lineage_id UNIQUE (version_id, lineage_id), 
	CONSTRAINT fk_lessons_module_id_version_id_modules FOREIGN KEY(module_id, version_id) REFERENCES modules (id, version_id) ON DELETE CASCADE, 
	CONSTRAINT ck_lessons_kind_known CHECK (kind IN ('text', 'video', 'document', 'audio', 'link', 'live_session')), 
	CONSTRAINT ck_lessons_weight_range CHECK (weight BETWEEN 1 AND 1000)
);

CREATE INDEX ix_lessons_order ON lessons (module_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON "lessons" TO __organization_role__;

CREATE TABLE video_renditions (
	id UUID NOT NULL, 
	video_id UUID NOT NULL, 
	job_id UUID NOT NULL, 
	label TEXT NOT NULL, 
	width BIGINT NOT NULL, 
	height BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	bandwidth BIGINT NOT NULL, 
	average_bandwidth BIGINT NOT NULL, 
	codecs TEXT NOT NULL, 
	frame_rate FLOAT NOT NULL, 
	media_key TEXT NOT NULL, 
	playlist_key TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_video_renditions PRIMARY KEY (id), 
	CONSTRAINT uq_video_renditions_video_id_label UNIQUE (video_id, label), 
	CONSTRAINT ck_video_renditions_positive CHECK (bytes > 0 AND bandwidth > 0 AND average_bandwidth > 0), 
	CONSTRAINT ck_video_renditions_has_a_picture CHECK (width > 0 AND height > 0), 
	CONSTRAINT fk_video_renditions_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE, 
	CONSTRAINT fk_video_renditions_job_id_transcoding_jobs FOREIGN KEY(job_id) REFERENCES transcoding_jobs (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "video_renditions" TO __organization_role__;

CREATE TABLE coupons (
	id UUID NOT NULL, 
	code TEXT NOT NULL, 
	percent_off BIGINT, 
	amount_off BIGINT, 
	currency TEXT, 
	run_id UUID, 
	valid_from TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	valid_until TIMESTAMP WITH TIME ZONE, 
	max_uses BIGINT, 
	max_uses_per_learner BIGINT DEFAULT '1' NOT NULL, 
	uses BIGINT DEFAULT '0' NOT NULL, 
	is_active BOOLEAN DEFAULT true NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_by UUID NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_coupons PRIMARY KEY (id), 
	CONSTRAINT uq_coupons_id_max_uses_per_learner UNIQUE (id, max_uses_per_learner), 
	CONSTRAINT ck_coupons_code_form CHECK (code ~ '^[A-Z0-9_-]{3,40}$'), 
	CONSTRAINT ck_coupons_takes_off_one_thing CHECK (num_nonnulls(percent_off, amount_off) = 1), 
	CONSTRAINT ck_coupons_percent_range CHECK (percent_off BETWEEN 1 AND 100), 
	CONSTRAINT ck_coupons_amount_positive CHECK (amount_off > 0), 
	CONSTRAINT ck_coupons_amount_has_a_currency CHECK ((amount_off IS NULL) = (currency IS NULL)), 
	CONSTRAINT ck_coupons_valid_from_before_until CHECK (valid_from < valid_until), 
	CONSTRAINT ck_coupons_learners_may_use_it CHECK (max_uses_per_learner > 0), 
	CONSTRAINT ck_coupons_uses_not_negative CHECK (uses >= 0), 
	CONSTRAINT ck_coupons_never_overused CHECK (uses <= max_uses), 
	CONSTRAINT uq_coupons_code UNIQUE (code), 
	CONSTRAINT fk_coupons_run_id_course_runs FOREIGN KEY(run_id) REFERENCES course_runs (id), 
	CONSTRAINT fk_coupons_created_by_users FOREIGN KEY(created_by) REFERENCES users (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "coupons" TO __organization_role__;

CREATE TABLE learner_imports (
	id UUID NOT NULL, 
	run_id UUID NOT NULL, 
	mode TEXT NOT NULL, 
	dry_run BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	by_admin BOOLEAN NOT NULL, 
	ignored_columns JSONB NOT NULL, 
	state TEXT DEFAULT 'queued' NOT NULL, 
	failure TEXT, 
	rows_total BIGINT NOT NULL, 
	enrolled BIGINT DEFAULT '0' NOT NULL, 
	invited BIGINT DEFAULT '0' NOT NULL, 
	refused BIGINT DEFAULT '0' NOT NULL, 
	created_by UUID NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE, 
	checked_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_learner_imports PRIMARY KEY (id), 
	CONSTRAINT ck_learner_imports_mode_known CHECK (mode IN ('all_or_nothing', 'partial')), 
	CONSTRAINT ck_learner_imports_state_known CHECK (state IN ('queued', 'running', 'done', 'failed')), 
	CONSTRAINT ck_learner_imports_failure_known CHECK (failure IN ('rows_refused', 'gave_up')), 
	CONSTRAINT ck_learner_imports_failed_says_why CHECK ((state = 'failed') = (failure IS NOT NULL)), 
	CONSTRAINT ck_learner_imports_finished_has_a_date CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL)), 
	CONSTRAINT ck_learner_imports_counts_no_row_twice CHECK (enrolled >= 0 AND invited >= 0 AND refused >= 0 AND enrolled + invited + refused <= rows_total), 
	CONSTRAINT fk_learner_imports_run_id_course_runs FOREIGN KEY(run_id) REFERENCES course_runs (id)
);

CREATE INDEX ix_learner_imports_run_id ON learner_imports (run_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "learner_imports" TO __organization_role__;

CREATE TABLE media_files (
	id UUID NOT NULL, 
	lesson_id UUID NOT NULL, 
	asset_id UUID NOT NULL, 
	file_name TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_media_files PRIMARY KEY (id), 
	CONSTRAINT fk_media_files_lesson_id_lessons FOREIGN KEY(lesson_id) REFERENCES lessons (id) ON DELETE CASCADE, 
	CONSTRAINT fk_media_files_asset_id_media_assets FOREIGN KEY(asset_id) REFERENCES media_assets (id)
);

CREATE INDEX ix_media_files_asset_id ON media_files (asset_id);

CREATE INDEX ix_media_files_lesson_id ON media_files (lesson_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "media_files" TO __organization_role__;

CREATE TABLE run_seats (
	run_id UUID NOT NULL, 
	capacity BIGINT, 
	taken BIGINT DEFAULT '0' NOT NULL, 
	waitlisted BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_run_seats PRIMARY KEY (run_id), 
	CONSTRAINT ck_run_seats_taken_not_negative CHECK (taken >= 0), 
	CONSTRAINT ck_run_seats_never_oversold CHECK (taken <= capacity), 
	CONSTRAINT ck_run_seats_waitlisted_not_negative CHECK (waitlisted >= 0), 
	CONSTRAINT fk_run_seats_run_id_course_runs FOREIGN KEY(run_id) REFERENCES course_runs (id) ON DELETE CASCADE
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "run_seats" TO __organization_role__;

CREATE TABLE coupon_learners (
	coupon_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	max_uses BIGINT NOT NULL, 
	uses BIGINT NOT NULL, 
	CONSTRAINT pk_coupon_learners PRIMARY KEY (coupon_id, user_id), 
	CONSTRAINT fk_coupon_learners_coupon_id_max_uses_coupons FOREIGN KEY(coupon_id, max_uses) REFERENCES coupons (id, max_uses_per_learner), 
	CONSTRAINT ck_coupon_learners_never_overused CHECK (uses BETWEEN 0 AND max_uses), 
	CONSTRAINT fk_coupon_learners_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "coupon_learners" TO __organization_role__;

CREATE TABLE payments (
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	run_id UUID NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	method TEXT NOT NULL, 
	state TEXT DEFAULT 'created' NOT NULL, 
	live BOOLEAN DEFAULT true NOT NULL, 
	provider TEXT, 
	provider_payment_id TEXT, 
	failure_code TEXT, 
	refunded_amount BIGINT DEFAULT '0' NOT NULL, 
	disputed_at TIMESTAMP WITH TIME ZONE, 
	lost_amount BIGINT DEFAULT '0' NOT NULL, 
	refund_policy JSONB DEFAULT '[]'::jsonb NOT NULL, 
	discount_amount BIGINT DEFAULT '0' NOT NULL, 
	coupon_code TEXT, 
	coupon_used BOOLEAN DEFAULT false NOT NULL, 
	succeeded_at TIMESTAMP WITH TIME ZONE, 
	transferred_at TIMESTAMP WITH TIME ZONE, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_payments PRIMARY KEY (id), 
	CONSTRAINT uq_payments_id_currency UNIQUE (id, currency), 
	CONSTRAINT uq_payments_provider_provider_payment_id UNIQUE (provider, provider_payment_id), 
	CONSTRAINT ck_payments_state_known CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'canceled')), 
	CONSTRAINT ck_payments_method_known CHECK (method IN ('wallet', 'provider', 'free')), 
	CONSTRAINT ck_payments_amount_not_negative CHECK (amount >= 0), 
	CONSTRAINT ck_payments_refund_within_amount CHECK (refunded_amount BETWEEN 0 AND amount), 
	CONSTRAINT ck_payments_loss_within_amount CHECK (lost_amount BETWEEN 0 AND amount), 
	CONSTRAINT ck_payments_disputed_at_a_provider CHECK (method = 'provider' OR (lost_amount = 0 AND disputed_at IS NULL)), 
	CONSTRAINT ck_payments_free_is_zero CHECK ((method = 'free') = (amount = 0)), 
	CONSTRAINT ck_payments_provider_named CHECK ((method = 'provider') = (provider IS NOT NULL)), 
	CONSTRAINT ck_payments_paid_has_a_date CHECK ((state = 'succeeded') = (succeeded_at IS NOT NULL)), 
	CONSTRAINT ck_payments_discount_not_negative CHECK (discount_amount >= 0), 
	CONSTRAINT ck_payments_discount_by_coupon CHECK ((coupon_code IS NOT NULL) = (discount_amount > 0)), 
	CONSTRAINT ck_payments_use_of_a_coupon CHECK (NOT coupon_used OR coupon_code IS NOT NULL), 
	CONSTRAINT ck_payments_live_uses_its_coupon CHECK (NOT live OR coupon_code IS NULL OR coupon_used), 
	CONSTRAINT fk_payments_user_id_users FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT fk_payments_run_id_course_runs FOREIGN KEY(run_id) REFERENCES course_runs (id), 
	CONSTRAINT fk_payments_coupon_code_coupons FOREIGN KEY(coupon_code) REFERENCES coupons (code) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX ix_payments_coupon_code ON payments (coupon_code, id) WHERE coupon_code IS NOT NULL;

CREATE INDEX ix_payments_run_id ON payments (run_id);

CREATE UNIQUE INDEX uq_payments_live ON payments (user_id, run_id) WHERE live AND transferred_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON "payments" TO __organization_role__;

CREATE TABLE disputes (
	id UUID NOT NULL, 
	payment_id UUID, 
	top_up_id UUID, 
	provider TEXT NOT NULL, 
	provider_dispute_id TEXT NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	evidence_due_at TIMESTAMP WITH TIME ZONE, 
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	closed_at TIMESTAMP WITH TIME ZONE, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_disputes PRIMARY KEY (id), 
	CONSTRAINT uq_disputes_provider_provider_dispute_id UNIQUE (provider, provider_dispute_id), 
	CONSTRAINT fk_disputes_payment_id_currency_payments FOREIGN KEY(payment_id, currency) REFERENCES payments (id, currency), 
	CONSTRAINT fk_disputes_top_up_id_currency_wallet_top_ups FOREIGN KEY(top_up_id, currency) REFERENCES wallet_top_ups (id, currency), 
	CONSTRAINT ck_disputes_about_one_thing CHECK (num_nonnulls(payment_id, top_up_id) = 1), 
	CONSTRAINT ck_disputes_amount_positive CHECK (amount > 0), 
	CONSTRAINT ck_disputes_kind_known CHECK (kind IN ('inquiry', 'chargeback')), 
	CONSTRAINT ck_disputes_status_known CHECK (status IN ('needs_response', 'under_review', 'won', 'lost')), 
	CONSTRAINT ck_disputes_inquiry_loses_nothing CHECK (kind = 'chargeback' OR status <> 'lost'), 
	CONSTRAINT ck_disputes_closed_has_a_date CHECK ((status IN ('won', 'lost')) = (closed_at IS NOT NULL)), 
	CONSTRAINT ck_disputes_closed_after_it_was_opened CHECK (closed_at >= opened_at)
);

CREATE INDEX ix_disputes_payment_id ON disputes (payment_id) WHERE payment_id IS NOT NULL;

CREATE INDEX ix_disputes_top_up_id ON disputes (top_up_id) WHERE top_up_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON "disputes" TO __organization_role__;

CREATE TABLE enrollments (
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	run_id UUID NOT NULL, 
	version_id UUID NOT NULL, 
	payment_id UUID, 
	attempt BIGINT DEFAULT '1' NOT NULL, 
	state TEXT NOT NULL, 
	percent BIGINT DEFAULT '0' NOT NULL, 
	awaiting TEXT, 
	hold_until TIMESTAMP WITH TIME ZONE, 
	waitlisted_at TIMESTAMP WITH TIME ZONE, 
	accepts_waitlist BOOLEAN DEFAULT false NOT NULL, 
	autopay_amount BIGINT, 
	autopay_coupon TEXT, 
	approved_at TIMESTAMP WITH TIME ZONE, 
	offered_until TIMESTAMP WITH TIME ZONE, 
	access_ends_at TIMESTAMP WITH TIME ZONE, 
	transferred_from_id UUID, 
	activated_at TIMESTAMP WITH TIME ZONE, 
	completed_at TIMESTAMP WITH TIME ZONE, 
	completed_rules_hash TEXT, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	version BIGINT DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_enrollments PRIMARY KEY (id), 
	CONSTRAINT uq_enrollments_user_id_run_id_attempt UNIQUE (user_id, run_id, attempt), 
	CONSTRAINT ck_enrollments_state_known CHECK (state IN ('pending', 'waitlisted', 'active', 'completed', 'withdrawn', 'suspended', 'expired', 'cancelled', 'transferred')), 
	CONSTRAINT ck_enrollments_awaiting_known CHECK (awaiting IN ('payment', 'offer', 'approval', 'invitation')), 
	CONSTRAINT ck_enrollments_pending_says_for_what CHECK ((state = 'pending') = (awaiting IS NOT NULL)), 
	CONSTRAINT ck_enrollments_waiting_has_a_date CHECK (state <> 'waitlisted' OR waitlisted_at IS NOT NULL), 
	CONSTRAINT ck_enrollments_autopay_not_negative CHECK (autopay_amount >= 0), 
	CONSTRAINT ck_enrollments_percent_range CHECK (percent BETWEEN 0 AND 100), 
	CONSTRAINT ck_enrollments_completed_dated CHECK (state <> 'completed' OR completed_at IS NOT NULL), 
	CONSTRAINT fk_enrollments_user_id_users FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT fk_enrollments_run_id_course_runs FOREIGN KEY(run_id) REFERENCES course_runs (id), 
	CONSTRAINT fk_enrollments_version_id_published_versions FOREIGN KEY(version_id) REFERENCES published_versions (version_id), 
	CONSTRAINT uq_enrollments_payment_id UNIQUE (payment_id), 
	CONSTRAINT fk_enrollments_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id), 
	CONSTRAINT uq_enrollments_transferred_from_id UNIQUE (transferred_from_id), 
	CONSTRAINT fk_enrollments_transferred_from_id_enrollments FOREIGN KEY(transferred_from_id) REFERENCES enrollments (id)
);

CREATE INDEX ix_enrollments_pending ON enrollments (run_id, hold_until) WHERE state = 'pending';

CREATE INDEX ix_enrollments_run_id ON enrollments (run_id);

CREATE INDEX ix_enrollments_waitlist ON enrollments (run_id, waitlisted_at, id) WHERE state = 'waitlisted';

CREATE UNIQUE INDEX uq_enrollments_live ON enrollments (user_id, run_id) WHERE state IN ('pending', 'waitlisted', 'active', 'suspended', 'completed');

GRANT SELECT, INSERT, UPDATE, DELETE ON "enrollments" TO __organization_role__;

CREATE TABLE refunds (
	id UUID NOT NULL, 
	payment_id UUID NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	destination TEXT NOT NULL, 
	state TEXT DEFAULT 'created' NOT NULL, 
	provider_refund_id TEXT, 
	failure_code TEXT, 
	reason TEXT DEFAULT '' NOT NULL, 
	created_by UUID, 
	succeeded_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_refunds PRIMARY KEY (id), 
	CONSTRAINT fk_refunds_payment_id_currency_payments FOREIGN KEY(payment_id, currency) REFERENCES payments (id, currency), 
	CONSTRAINT uq_refunds_payment_id_provider_refund_id UNIQUE (payment_id, provider_refund_id), 
	CONSTRAINT ck_refunds_state_known CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'canceled')), 
	CONSTRAINT ck_refunds_destination_known CHECK (destination IN ('wallet', 'provider')), 
	CONSTRAINT ck_refunds_amount_positive CHECK (amount > 0)
);

CREATE INDEX ix_refunds_payment_id ON refunds (payment_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON "refunds" TO __organization_role__;

CREATE TABLE enrollment_changes (
	id UUID NOT NULL, 
	enrollment_id UUID NOT NULL, 
	from_state TEXT, 
	to_state TEXT NOT NULL, 
	actor_id UUID, 
	reason TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_enrollment_changes PRIMARY KEY (id), 
	CONSTRAINT fk_enrollment_changes_enrollment_id_enrollments FOREIGN KEY(enrollment_id) REFERENCES enrollments (id)
);

CREATE INDEX ix_enrollment_changes_enrollment_id ON enrollment_changes (enrollment_id);

GRANT SELECT, INSERT ON "enrollment_changes" TO __organization_role__;

CREATE TABLE learner_import_rows (
	id UUID NOT NULL, 
	import_id UUID NOT NULL, 
	line BIGINT NOT NULL, 
	email TEXT NOT NULL, 
	name TEXT NOT NULL, 
	outcome TEXT DEFAULT 'pending' NOT NULL, 
	code TEXT, 
	message TEXT, 
	user_id UUID, 
	enrollment_id UUID, 
	CONSTRAINT pk_learner_import_rows PRIMARY KEY (id), 
	CONSTRAINT ck_learner_import_rows_outcome_known CHECK (outcome IN ('pending', 'enrolled', 'invited', 'refused')), 
	CONSTRAINT ck_learner_import_rows_refused_says_why CHECK ((outcome = 'refused') = (code IS NOT NULL) AND (code IS NULL) = (message IS NULL)), 
	CONSTRAINT uq_learner_import_rows_import_id_id UNIQUE (import_id, id), 
	CONSTRAINT fk_learner_import_rows_import_id_learner_imports FOREIGN KEY(import_id) REFERENCES learner_imports (id), 
	CONSTRAINT fk_learner_import_rows_user_id_users FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT fk_learner_import_rows_enrollment_id_enrollments FOREIGN KEY(enrollment_id) REFERENCES enrollments (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "learner_import_rows" TO __organization_role__;

CREATE TABLE lesson_progress (
	enrollment_id UUID NOT NULL, 
	lesson_lineage_id UUID NOT NULL, 
	position_seconds FLOAT DEFAULT '0' NOT NULL, 
	watched INT4MULTIRANGE DEFAULT '{}'::int4multirange NOT NULL, 
	dwell_seconds BIGINT DEFAULT '0' NOT NULL, 
	completed_at TIMESTAMP WITH TIME ZONE, 
	completed_how TEXT, 
	first_activity_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	last_activity_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_lesson_progress PRIMARY KEY (enrollment_id, lesson_lineage_id), 
	CONSTRAINT ck_lesson_progress_completed_says_how CHECK ((completed_at IS NULL) = (completed_how IS NULL)), 
	CONSTRAINT ck_lesson_progress_position_not_negative CHECK (position_seconds >= 0), 
	CONSTRAINT fk_lesson_progress_enrollment_id_enrollments FOREIGN KEY(enrollment_id) REFERENCES enrollments (id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON "lesson_progress" TO __organization_role__;

CREATE TABLE receipts (
	year BIGINT NOT NULL, 
	number BIGINT NOT NULL, 
	payment_id UUID, 
	top_up_id UUID, 
	refund_id UUID, 
	user_id UUID NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	issued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_receipts PRIMARY KEY (year, number), 
	CONSTRAINT ck_receipts_numbers_from_one CHECK (number > 0), 
	CONSTRAINT ck_receipts_amount_positive CHECK (amount > 0), 
	CONSTRAINT ck_receipts_about_one_thing CHECK (num_nonnulls(payment_id, top_up_id, refund_id) = 1), 
	CONSTRAINT uq_receipts_payment_id UNIQUE (payment_id), 
	CONSTRAINT fk_receipts_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id), 
	CONSTRAINT uq_receipts_top_up_id UNIQUE (top_up_id), 
	CONSTRAINT fk_receipts_top_up_id_wallet_top_ups FOREIGN KEY(top_up_id) REFERENCES wallet_top_ups (id), 
	CONSTRAINT uq_receipts_refund_id UNIQUE (refund_id), 
	CONSTRAINT fk_receipts_refund_id_refunds FOREIGN KEY(refund_id) REFERENCES refunds (id), 
	CONSTRAINT fk_receipts_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
);

GRANT SELECT, INSERT ON "receipts" TO __organization_role__;

CREATE TABLE wallet_transactions (
	wallet_id UUID NOT NULL, 
	seq BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	balance_after BIGINT NOT NULL, 
	counter_account TEXT NOT NULL, 
	payment_id UUID, 
	refund_id UUID, 
	top_up_id UUID, 
	grant_id UUID, 
	reason TEXT DEFAULT '' NOT NULL, 
	reference TEXT NOT NULL, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_wallet_transactions PRIMARY KEY (wallet_id, seq), 
	CONSTRAINT fk_wallet_transactions_wallet_id_currency_wallets FOREIGN KEY(wallet_id, currency) REFERENCES wallets (id, currency), 
	CONSTRAINT ck_wallet_transactions_kind_known CHECK (kind IN ('deposit', 'deduction', 'refund', 'adjustment', 'reversal')), 
	CONSTRAINT ck_wallet_transactions_amount_not_zero CHECK (amount <> 0), 
	CONSTRAINT ck_wallet_transactions_never_overdrawn CHECK (balance_after >= 0), 
	CONSTRAINT ck_wallet_transactions_kind_has_its_sign CHECK ((kind = 'deduction') = (amount < 0) OR kind IN ('adjustment', 'reversal')), 
	CONSTRAINT fk_wallet_transactions_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id), 
	CONSTRAINT fk_wallet_transactions_refund_id_refunds FOREIGN KEY(refund_id) REFERENCES refunds (id), 
	CONSTRAINT fk_wallet_transactions_top_up_id_wallet_top_ups FOREIGN KEY(top_up_id) REFERENCES wallet_top_ups (id), 
	CONSTRAINT fk_wallet_transactions_grant_id_credit_grants FOREIGN KEY(grant_id) REFERENCES credit_grants (id), 
	CONSTRAINT uq_wallet_transactions_reference UNIQUE (reference)
);

CREATE INDEX ix_wallet_transactions_grant_id ON wallet_transactions (grant_id) WHERE grant_id IS NOT NULL;

GRANT SELECT, INSERT ON "wallet_transactions" TO __organization_role__;
