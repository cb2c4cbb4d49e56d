package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/httpx"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory"
)

// TestDocs: the page is public, offers each document, and serves each unchanged.
func TestDocs(t *testing.T) {
	t.Parallel()
	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	other := Document{Name: "Inventory", File: "inventory.yaml", Spec: inventory.OpenAPI}
	require.NoError(t, Register(router, &handlers{}, authtest.Guard(t, servicetoken.API, api.Spec), other))

	get := func(path string) string {
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, rec.Code, path)
		return rec.Body.String()
	}

	page := get("/docs/")
	require.Contains(t, page, "swagger-ui")
	for _, m := range regexp.MustCompile(`(?:src|href)="\.(/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		require.NotEmpty(t, get("/docs"+m[1]), "the page's files are there, also for a client that takes no gzip")
	}
	require.Contains(t, get("/docs/swagger-ui-bundle.js"), "SwaggerUIBundle")
	require.Contains(t, get("/docs/swagger-initializer.js"),
		`urls: [{"name":"Orders","url":"/docs/openapi.yaml"},{"name":"Inventory","url":"/docs/inventory.yaml"}]`)
	require.Equal(t, string(api.Spec), get("/docs/openapi.yaml"))
	require.Equal(t, string(inventory.OpenAPI), get("/docs/inventory.yaml"))
}
