package platform

import (
	"regexp"
	"strings"

	"github.com/stretchr/testify/assert"
)

// PrivateName and PrivateStreet are what a test gives as a customer's name and street. No log may have them.
const (
	PrivateName   = "Ada Testperson"
	PrivateStreet = "7 Testperson Lane"
)

// neverLogged are the secrets of the tests, and what personal data and tokens look like.
var neverLogged = map[string]*regexp.Regexp{
	"the secret of the tokens":      regexp.MustCompile(regexp.QuoteMeta(jwtSecret)),
	"a service key":                 regexp.MustCompile(regexp.QuoteMeta(serviceKey)),
	"the secret of internal tokens": regexp.MustCompile(regexp.QuoteMeta(internalSecret)),
	"the secret of webhooks":        regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`),
	"a token":                       regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.`),
	"an e-mail address":             regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`),
	"the customer's way to pay":     regexp.MustCompile(`\bpm_(ok|declined|insufficient|timeout|flaky|action)`),
	"the password of a database":    regexp.MustCompile(`postgres(ql)?://[^:/ "]+:[^@ "]+@`),
	"a name or a street":            regexp.MustCompile(PrivateName + `|` + PrivateStreet),
}

// AssertNothingPrivate fails the test if what a process wrote contains a secret or personal data.
func (c *Process) AssertNothingPrivate() {
	c.p.T.Helper()
	for line := range strings.Lines(c.Log()) {
		for what, pattern := range neverLogged {
			if found := pattern.FindString(line); found != "" {
				assert.Fail(c.p.T, "a log line has "+what, "%s wrote %q in: %s", c.name, found, line)
			}
		}
	}
}
