package httpx

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
	"holdfast/internal/text"
)

// onceHeaders decide what a request does or who sends it. If a header is given twice, RFC 9110 joins the values into a
// list or leaves open which one counts, so that two servers on the way could use different values.
var onceHeaders = []string{
	"Authorization",
	"Content-Encoding",
	"Content-Type",
	"Idempotency-Key",
	"If-Match",
	"If-None-Match",
	"X-Actor",
	"X-Api-Key",
	"X-Internal-Token",
}

// guards are headers with which a caller protects a write. An empty one is usually an unset variable in a script: the
// caller expects a protection that an empty value does not give.
var guards = map[string]bool{"Idempotency-Key": true, "If-Match": true}

// oneMeaning refuses a request that two servers could read in two ways: a query string with a part that cannot be read,
// a parameter given twice, or a header given twice. It runs before every route, so that the gateway refuses such a
// request and does not forward it without the part that it cannot read.
func oneMeaning(c *gin.Context) {
	if err := readOnce(c.Request.Header); err != nil {
		Fail(c, err)
		return
	}
	if c.Request.URL.RawQuery != "" {
		if err := readableQuery(c.Request.URL.RawQuery); err != nil {
			Fail(c, err)
			return
		}
	}
	c.Next()
}

// readOnce refuses a header that has several different values or is empty although it protects a write. If a header has
// the same value several times, it keeps one.
func readOnce(header map[string][]string) error {
	for _, name := range onceHeaders {
		values := header[name]
		if guards[name] && len(values) > 0 && values[0] == "" {
			return problem.Invalid(name, "the header %s is empty; give it a value, or leave it out", name)
		}
		if len(values) < 2 {
			continue
		}
		if len(slices.Compact(slices.Clone(values))) > 1 {
			return problem.Invalid(name,
				"the header %s is given %d times with different values; give it once", name, len(values))
		}
		header[name] = values[:1]
	}
	return nil
}

// readableQuery checks each pair separately, because url.ParseQuery does not say where a fault is. No parameter may be
// given twice: in every contract a list is one parameter whose values are separated by commas.
func readableQuery(raw string) error {
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		_, unfitName := text.Unfit(name)
		_, unfitValue := text.Unfit(value)
		switch {
		case strings.Contains(pair, ";"):
			return problem.Invalid(echo(rawName), "the query string cannot be read: "+
				"parameters are separated by &, and a ; in a value is written %%3B")
		case nameErr != nil || valueErr != nil:
			return problem.Invalid(echo(rawName), "the query string cannot be read: "+
				"a %% must be followed by two hexadecimal digits")
		case !utf8.ValidString(name) || !utf8.ValidString(value), unfitName, unfitValue:
			return problem.Invalid(echo(name), "parameters are UTF-8 without control or direction characters")
		case seen[name]:
			return problem.Invalid(echo(name), "the parameter %q is given twice; "+
				"give it once, several values of a list separated by commas", echo(name))
		}
		seen[name] = true
	}
	return nil
}

// unknownParameter refuses the first parameter that the operation does not have. If the server ignored it, a mistyped
// filter would return too many results, and a mistyped dry_run would write.
func unknownParameter(given url.Values, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			return problem.Invalid(echo(name), "there is no parameter %q; this takes none", echo(name))
		default:
			return problem.Invalid(echo(name), "there is no parameter %q; there are: %s", echo(name), strings.Join(known, ", "))
		}
	}
	return nil
}
