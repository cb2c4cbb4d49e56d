package activities

import "strings"

// maxReason is how many characters of a reason the inventory's contract takes.
const maxReason = 500

// recordable returns the reason in a form that inventory can record. A provider's explanation may have any length and
// form, and inventory must give the stock back all the same.
func recordable(reason string) string {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "\uFFFD"), "\x00", "")
	if characters := []rune(reason); len(characters) > maxReason {
		return string(characters[:maxReason-1]) + "…"
	}
	return reason
}
