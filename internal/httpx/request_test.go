package httpx

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuardingHeaderIsNotEmpty: an empty header protects nothing, and its sender means that it does.
func TestGuardingHeaderIsNotEmpty(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{
		"Idempotency-Key": "is empty",
		"If-Match":        "is empty",
		"If-None-Match":   "",
		"X-Actor":         "",
	} {
		err := readOnce(http.Header{name: {""}})
		if fault == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, fault, name)
	}
}
