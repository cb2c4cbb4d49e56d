package exactid

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const id = "90806882-983d-5164-87bd-3b84bc6ad730"
	for _, good := range []string{id, strings.ToUpper(id)} {
		got, err := Parse(good)
		require.NoError(t, err)
		require.Equal(t, id, got.String())
	}
	for _, bad := range []string{
		"", id[:35], id + "0", " " + id[:35],
		"x" + id + "y", "{" + id + "}", "urn:uuid:" + id,
		strings.ReplaceAll(id, "-", ""), strings.Replace(id, "-", "_", 1), strings.Replace(id, "9", "g", 1),
	} {
		_, err := Parse(bad)
		require.Error(t, err, bad)
		require.Contains(t, err.Error(), Rule)
	}
}
