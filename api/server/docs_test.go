package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth"
	"holdfast/internal/httpx"
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
	require.NoError(t, Register(router, &handlers{}, auth.NewVerifier(auth.Config{}), other))

	get := func(path string) string {
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, rec.Code, path)
		return rec.Body.String()
	}

	require.Contains(t, get("/docs/"), "swagger-ui")
	require.Contains(t, get("/docs/swagger-initializer.js"),
		`urls: [{"name":"Orders","url":"/docs/openapi.yaml"},{"name":"Inventory","url":"/docs/inventory.yaml"}]`)
	require.Equal(t, string(api.Spec), get("/docs/openapi.yaml"))
	require.Equal(t, string(inventory.OpenAPI), get("/docs/inventory.yaml"))
}
