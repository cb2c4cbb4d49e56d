// Package webhook signs and verifies webhooks by the Standard Webhooks specification, both those that the platform
// sends and those that it receives: the headers webhook-id, webhook-timestamp and webhook-signature, the last of which
// is an HMAC-SHA256 over "id.timestamp.body".
package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The headers of a webhook.
const (
	HeaderID        = standardwebhooks.HeaderWebhookID
	HeaderTimestamp = standardwebhooks.HeaderWebhookTimestamp
	HeaderSignature = standardwebhooks.HeaderWebhookSignature
)

// Tolerance is how far the time of a webhook may differ from the receiver's clock, in both directions.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	// The specification's bounds of a secret, in bytes.
	minSecret, maxSecret = 24, 64
	// maxID bounds the length of a webhook's id, in bytes.
	maxID = 200
)

// Keys are the secrets that a sender and a receiver share. During a rotation there are several: the sender signs with
// each, and the receiver accepts a signature by any.
type Keys struct {
	each []*standardwebhooks.Webhook
}

// ParseKeys reads secrets as in whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw: base64 of 24 to 64 random bytes. Its errors
// never contain a secret.
func ParseKeys(secrets []string) (Keys, error) {
	if len(secrets) == 0 {
		return Keys{}, errors.New("a webhook needs at least one secret")
	}
	var k Keys
	for i, secret := range secrets {
		encoded, prefixed := strings.CutPrefix(secret, secretPrefix)
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if !prefixed || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
			return Keys{}, fmt.Errorf("webhook secret %d is not %s and the base64 of %d to %d bytes",
				i+1, secretPrefix, minSecret, maxSecret)
		}
		one, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return Keys{}, fmt.Errorf("webhook secret %d: %w", i+1, err)
		}
		k.each = append(k.each, one)
	}
	return k, nil
}

// NewSecret returns a new random secret.
func NewSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// Message is a webhook that Verify has found genuine.
type Message struct {
	ID     string    // the same in every delivery of this webhook
	SentAt time.Time // of this delivery
	Body   []byte
}

// Sign returns the headers of a webhook that is sent at the given time, with one signature by each key. The id is the
// same in every delivery of the webhook and has no full stop, because full stops separate what is signed.
func (k Keys) Sign(id string, at time.Time, body []byte) (http.Header, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	signatures := make([]string, 0, len(k.each))
	for _, key := range k.each {
		signature, err := key.Sign(id, at, body)
		if err != nil {
			return nil, fmt.Errorf("sign webhook %s: %w", id, err)
		}
		signatures = append(signatures, signature)
	}
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(HeaderSignature, strings.Join(signatures, " "))
	return h, nil
}

// Verify checks a webhook's signature, in constant time, and that its timestamp is within Tolerance. The error is a
// problem of Table. Verify knows no earlier webhooks: Once refuses those that come again.
func (k Keys) Verify(h http.Header, body []byte) (Message, error) {
	id := h.Get(HeaderID)
	if id != "" {
		if err := checkID(id); err != nil {
			return Message{}, err
		}
	}
	// It tries every key, so that the time does not tell which key is the right one.
	err := error(Table.New(CodeSignatureInvalid, "no key is known that signs this webhook"))
	for _, key := range k.each {
		if refused := key.Verify(body, h); refused == nil || !isNoMatch(refused) {
			err = asProblem(refused)
		}
	}
	if err != nil {
		return Message{}, err
	}
	seconds, _ := strconv.ParseInt(h.Get(HeaderTimestamp), 10, 64) // the key has parsed it
	return Message{ID: id, SentAt: time.Unix(seconds, 0).UTC(), Body: body}, nil
}

func isNoMatch(err error) bool { return errors.Is(err, standardwebhooks.ErrNoMatchingSignature) }

// checkID refuses an id that could shift bytes between id, timestamp and body, or that is too long to keep.
func checkID(id string) error {
	forbidden := func(r rune) bool { return r <= ' ' || r > '~' || r == '.' }
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, forbidden) {
		return Table.New(CodeHeaderInvalid,
			"%s is 1 to %d printable ASCII characters without a full stop or a space", HeaderID, maxID)
	}
	return nil
}

// asProblem returns nil for nil.
func asProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, standardwebhooks.ErrRequiredHeaders):
		return Table.New(CodeHeaderMissing, "send %s, %s and %s", HeaderID, HeaderTimestamp, HeaderSignature)
	case errors.Is(err, standardwebhooks.ErrInvalidHeaders):
		return Table.New(CodeHeaderInvalid, "%s is a whole number of seconds since 1970", HeaderTimestamp)
	case errors.Is(err, standardwebhooks.ErrMessageTooOld):
		return Table.New(CodeTooOld, "%s is more than %s ago; sign the webhook again", HeaderTimestamp, Tolerance)
	case errors.Is(err, standardwebhooks.ErrMessageTooNew):
		return Table.New(CodeTooNew, "%s is more than %s ahead; set the sender's clock", HeaderTimestamp, Tolerance)
	}
	return err
}
