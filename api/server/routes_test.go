package server

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/httpx"
	"holdfast/internal/seed"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
)

// TestRoutesAreTheSpecifications: the routes below /api are exactly the operations of the published document.
func TestRoutesAreTheSpecifications(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	want := []string{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}

	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	require.NoError(t, Register(router, &handlers{}, authtest.Guard(t, servicetoken.API, api.Spec)))
	got := []string{}
	for _, r := range router.Routes() {
		if strings.HasPrefix(r.Path, "/api/") || strings.HasPrefix(r.Path, "/admin/") {
			got = append(got, r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"))
		}
	}
	require.ElementsMatch(t, want, got)
}

// TestExamplesCanBeSent: a reader who presses Execute on the documentation's page gets an order, so the examples name a
// product of the example data.
func TestExamplesCanBeSent(t *testing.T) {
	t.Parallel()
	products := regexp.MustCompile(`example: \{.*product_id: "([^"]+)"`).FindAllSubmatch(api.Spec, -1)
	require.Len(t, products, 2)
	for _, p := range products {
		require.Equal(t, seed.ProductID("BAG-GRA").String(), string(p[1]))
	}
}
