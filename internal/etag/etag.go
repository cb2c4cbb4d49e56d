// Package etag reads and writes entity tags made of versions, by RFC 9110. Every interface uses it for ETag, If-Match
// and If-None-Match. It is pure.
package etag

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Format returns the entity tag of a version. It is a strong tag: each version is one representation.
func Format(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// Match is the content of an If-Match or If-None-Match header. The zero value stands for a missing header.
type Match struct {
	Given    bool
	Any      bool    // "*"
	Versions []int64 // of the tags that Format can write, from 1 on; other tags match nothing
}

// Has reports whether version is among those that the header names.
func (m Match) Has(version int64) bool { return m.Any || slices.Contains(m.Versions, version) }

// errTags tells the client which form a header must have.
var errTags = errors.New(`it holds entity tags as they were answered, ` +
	`as in "7" with the quotes, separated by commas; or *`)

// tag is RFC 9110's entity-tag (8.8.3), at the beginning of a text. A comma may stand inside the quotes.
var tag = regexp.MustCompile(`^(W/)?"([\x21\x23-\x7e\x{80}-\x{10ffff}]*)"`)

// ParseIfMatch reads If-Match, which compares strongly (13.1.1): a weak tag matches nothing.
func ParseIfMatch(header string) (Match, error) { return parse(header, false) }

// ParseIfNoneMatch reads If-None-Match, which compares weakly (13.1.2): W/"7" matches like "7", so that the answer can
// still be 304 after a compressing proxy has made the tag weak.
func ParseIfNoneMatch(header string) (Match, error) { return parse(header, true) }

func parse(header string, weak bool) (Match, error) {
	rest := strings.Trim(header, " \t")
	switch rest {
	case "":
		return Match{}, nil
	case "*":
		return Match{Given: true, Any: true}, nil
	}
	out := Match{Given: true}
	for {
		m := tag.FindStringSubmatch(rest)
		if m == nil {
			return Match{}, errTags
		}
		v, err := strconv.ParseInt(m[2], 10, 64)
		canonical := err == nil && v > 0 && strconv.FormatInt(v, 10) == m[2]
		if canonical && (weak || m[1] == "") {
			out.Versions = append(out.Versions, v)
		}
		if rest = strings.TrimLeft(rest[len(m[0]):], " \t"); rest == "" {
			return out, nil
		}
		if rest[0] != ',' {
			return Match{}, errTags
		}
		rest = strings.TrimLeft(rest[1:], " \t")
	}
}
