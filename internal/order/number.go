package order

import "regexp"

// NumberPrefix begins the number of every order, as in HF-104233. The orders database gives the numbers.
const NumberPrefix = "HF-"

var numberForm = regexp.MustCompile(`^(?i:` + NumberPrefix + `)?([1-9][0-9]{5,18})$`)

// ParseNumber reads an order's number as people write it: in capital or small letters, or the digits alone. It reports
// false for any other text.
func ParseNumber(text string) (string, bool) {
	digits := numberForm.FindStringSubmatch(text)
	if digits == nil {
		return "", false
	}
	return NumberPrefix + digits[1], true
}
