package etag

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header  string
		strong  Match
		weak    []int64
		refused bool
	}{
		{header: ""},
		{header: "  "},
		{header: " * ", strong: Match{Given: true, Any: true}},
		{header: `"7"`, strong: Match{Given: true, Versions: []int64{7}}, weak: []int64{7}},
		{header: Format(7), strong: Match{Given: true, Versions: []int64{7}}, weak: []int64{7}},
		{header: `W/"7"`, strong: Match{Given: true}, weak: []int64{7}},
		{
			header: `"6" ,	W/"7", "x,y", "8"`,
			strong: Match{Given: true, Versions: []int64{6, 8}},
			weak:   []int64{6, 7, 8},
		},
		{header: `"07", "+7", ""`, strong: Match{Given: true}},
		{header: `"-1", "0"`, strong: Match{Given: true}},
		{header: `7`, refused: true},
		{header: `w/"7"`, refused: true},
		{header: `"7`, refused: true},
		{header: `"7" "8"`, refused: true},
		{header: `"7",`, refused: true},
		{header: `*, "7"`, refused: true},
	} {
		strong, err := ParseIfMatch(c.header)
		weak, werr := ParseIfNoneMatch(c.header)
		if c.refused {
			require.Error(t, err, c.header)
			require.Error(t, werr, c.header)
			continue
		}
		require.NoError(t, err, c.header)
		require.NoError(t, werr, c.header)
		require.Equal(t, c.strong, strong, c.header)
		require.Equal(t, c.weak, weak.Versions, c.header)
	}
	require.True(t, Match{Given: true, Versions: []int64{7}}.Has(7))
	require.False(t, Match{Given: true, Versions: []int64{7}}.Has(8))
	require.True(t, Match{Given: true, Any: true}.Has(8))
}
