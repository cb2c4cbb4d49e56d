package httpx

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuardingHeaderIsNotEmpty: a header that protects a write is refused if it is empty.
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
