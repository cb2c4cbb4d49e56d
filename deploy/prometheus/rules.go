// Package prometheus has the alert rules, for the development stack. The containers read the files beside it.
package prometheus

import _ "embed"

// Rules is the content of rules.yml.
//
//go:embed rules.yml
var Rules []byte
