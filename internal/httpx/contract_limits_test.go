package httpx

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLargeBodies: a contract has the limits of its document, and a limit must be a number of bytes.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const document = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},
		"paths":{"/a/{id}":{"post":{LIMIT"responses":{"200":{"description":"ok"}}}}}}`

	contract, err := ReadContract([]byte(strings.Replace(document, "LIMIT", `"x-max-body":8388608,`, 1)))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"/a/:id": 8 << 20}, contract.LargeBodies())

	for _, limit := range []string{`"8 MB"`, "0", "[]"} {
		_, err := ReadContract([]byte(strings.Replace(document, "LIMIT", `"x-max-body":`+limit+`,`, 1)))
		require.ErrorContains(t, err, "must be a number of bytes")
	}
}
