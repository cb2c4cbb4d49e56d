package activities

import "strings"

// maxReason is how many characters of a reason the inventory's contract takes.
const maxReason = 500

// recordable is a reason as inventory can record it. A provider's explanation may be of any length and
// form, and must never keep stock from being given back.
func recordable(reason string) string {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "\uFFFD"), "\x00", "")
	if characters := []rune(reason); len(characters) > maxReason {
		return string(characters[:maxReason-1]) + "…"
	}
	return reason
}
