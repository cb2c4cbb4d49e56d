package text

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnfit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text        string
		line, lines rune // the characters that are refused in one line, and in several
	}{
		{"", 0, 0},
		{"plain", 0, 0},
		{"Grüße, 東京 🎁", 0, 0},
		{"שלום", 0, 0},
		{"a\x00", 0x00, 0x00},
		{"a\x1bb", 0x1b, 0x1b},
		{"\x7f", 0x7f, 0x7f},
		{"\u0085", 0x85, 0x85},
		{"a\nb", '\n', 0},
		{"a\tb", '\t', 0},
		{"a\r\nb", '\r', 0},
		{"\u202egnp", 0x202e, 0x202e},
		{"\u2066", 0x2066, 0x2066},
		{"\u200f", 0x200f, 0x200f},
		{"\u061c", 0x61c, 0x61c},
	} {
		r, found := Unfit(c.text)
		require.Equal(t, c.line, r, "%q", c.text)
		require.Equal(t, c.text != "" && c.line != 0 || c.text == "a\x00", found, "%q", c.text)
		r, _ = UnfitLines(c.text)
		require.Equal(t, c.lines, r, "%q", c.text)
	}
}
