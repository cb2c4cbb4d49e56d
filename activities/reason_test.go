package activities

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestReasonIsRecordable(t *testing.T) {
	t.Parallel()
	require.Equal(t, "declined", recordable("declined"))
	require.Equal(t, strings.Repeat("é", 500), recordable(strings.Repeat("é", 500)))
	require.Equal(t, 500, utf8.RuneCountInString(recordable(strings.Repeat("é", 5000))))
	require.Equal(t, "ab\uFFFD", recordable("a\x00b\xff"))
}
