package httpx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// nul finds the first string or member name of a JSON document that holds the character U+0000, which
// PostgreSQL stores nowhere: what carries it could never be recorded. JSON can only write it escaped, so
// most documents are passed by one look at the bytes.
func nul(raw []byte) (path string, found bool) {
	if !bytes.Contains(raw, []byte(`\u0000`)) {
		return "", false
	}
	var document any
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&document) != nil {
		return "", false // whoever decodes it says what is wrong
	}
	return nulIn(document)
}

func nulIn(value any) (path string, found bool) {
	switch v := value.(type) {
	case string:
		return "", strings.ContainsRune(v, 0)
	case []any:
		for i, element := range v {
			if inner, found := nulIn(element); found {
				return join(fmt.Sprintf("[%d]", i), inner), true
			}
		}
	case map[string]any:
		for name, member := range v {
			if strings.ContainsRune(name, 0) {
				return strings.ReplaceAll(name, "\x00", ""), true
			}
			if inner, found := nulIn(member); found {
				return join(name, inner), true
			}
		}
	}
	return "", false
}
