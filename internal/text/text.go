// Package text says which characters a text of a client may have. It is pure.
package text

import (
	"strings"
	"unicode"
)

// Unfit returns the first character of s that a client's text may not have: a control character, line breaks and tabs
// included, or a character that changes the direction of the text around it (Unicode's Bidi_Control). PostgreSQL cannot
// store U+0000; the others can make a log line, a label or a mail show another text than the client wrote.
func Unfit(s string) (rune, bool) { return find(s, unfit) }

// UnfitLines is Unfit for a text of several lines, which may have line breaks and tabs.
func UnfitLines(s string) (rune, bool) {
	return find(s, func(r rune) bool { return r != '\n' && r != '\r' && r != '\t' && unfit(r) })
}

func find(s string, match func(rune) bool) (rune, bool) {
	i := strings.IndexFunc(s, match)
	if i < 0 {
		return 0, false
	}
	for _, r := range s[i:] {
		return r, true
	}
	return 0, false
}

func unfit(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
