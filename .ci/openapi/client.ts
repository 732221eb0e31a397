// A front end's first calls, through the types that its generator makes of our documents.
// It is compiled, never run: a change that breaks clients breaks this file first.

import createClient from "openapi-fetch";

import type { components as PlatformComponents, paths as PlatformPaths } from "./build/platform";
import type { components, paths } from "./build/tenant";

type Schemas = components["schemas"];
type Money = Schemas["Money"];

export const academy = createClient<paths>({ baseUrl: "http://acme.localhost:8000" });
export const platform = createClient<PlatformPaths>({ baseUrl: "http://admin.localhost:8000" });

/** Say what went wrong: every refusal is a problem (RFC 9457) with a stable type. */
export function explain(problem: Schemas["Problem"]): string {
  const fields = (problem.errors ?? []).map((error) => `${error.pointer}: ${error.message}`);
  return [problem.title, problem.detail, ...fields].filter(Boolean).join("\n");
}

export async function signIn(email: string, password: string): Promise<string> {
  const { data, error } = await academy.POST("/api/v1/auth/login", { body: { email, password } });
  if (error) throw new Error(explain(error));
  return data.access_token;
}

/** Walk through all pages of the catalog. */
export async function* courses(): AsyncGenerator<Schemas["CourseOut"]> {
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = { limit: 100 };
    if (cursor !== null) query.cursor = cursor;
    const { data, error } = await academy.GET("/api/v1/courses", { params: { query } });
    if (error) throw new Error(explain(error));
    yield* data.items;
    cursor = data.next_cursor;
  } while (cursor !== null);
}

/** Rename a course, unless somebody changed it since it was read. */
export async function rename(courseId: string, title: string): Promise<Schemas["CourseOut"]> {
  const read = await academy.GET("/api/v1/courses/{course_id}", {
    params: { path: { course_id: courseId } },
  });
  if (read.error) throw new Error(explain(read.error));
  const etag = read.response.headers.get("ETag");
  if (etag === null) throw new Error("A course without an ETag.");
  const { data, error } = await academy.PATCH("/api/v1/courses/{course_id}", {
    params: { path: { course_id: courseId }, header: { "If-Match": etag } },
    body: { title },
  });
  if (error) throw new Error(explain(error));
  return data;
}

/**
 * Enroll and pay from the wallet; the same key may be sent again after a broken connection. Null
 * while nothing is paid yet: the run's learners are approved.
 */
export async function enroll(runId: string, key: string): Promise<Money | null> {
  const { data, error } = await academy.POST("/api/v1/runs/{run_id}/enrollments", {
    params: { path: { run_id: runId }, header: { "Idempotency-Key": key } },
    body: { payment: { method: "wallet" } },
  });
  if (error) throw new Error(explain(error));
  return data.payment?.amount ?? null;
}

export async function organizations(): Promise<PlatformComponents["schemas"]["OrganizationOut"][]> {
  const { data, error } = await platform.GET("/api/v1/platform/organizations");
  if (error) throw new Error(explain(error));
  return data.items;
}
