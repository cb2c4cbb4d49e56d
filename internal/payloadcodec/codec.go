// Package payloadcodec encrypts what our processes write into Temporal: inputs and results of workflows, activities and
// updates, memos, summaries, details and the texts of failures. Temporal stores only ciphertext, and a reader of its
// database, its Web UI or its backups learns nothing from it without a key (ADR 25).
//
// Ids, names of workflows and activities, and search attributes stay readable, because Temporal itself works with them.
package payloadcodec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	// encoding is the value of a payload's metadata that marks it as encrypted. Temporal's samples use the same, so its
	// Web UI recognises such a payload.
	encoding = "binary/encrypted"
	// metadataKeyID is the metadata that names the key.
	metadataKeyID = "encryption-key-id"

	keySize   = 32 // AES-256
	saltSize  = 24
	nonceSize = 12

	// info separates this use of a key from any other (RFC 5869, 3.2). The number changes with the format.
	info = "holdfast temporal payload 1"
)

// Plain is the word that takes the place of the first key in a list: payloads are then written without encryption, and
// the keys after it only decrypt. It is the first step to encryption and the last one back.
const Plain = "plain"

// Codec encrypts and decrypts payloads with AES-256-GCM. It is safe for concurrent use.
//
// The first key encrypts, and every key decrypts. A payload names its key by the key's id. Each payload has an AES key
// of its own, which HKDF derives from the key and 24 random bytes that are stored with the payload. So a key may
// encrypt any number of payloads: AES-GCM with a random nonce alone is limited to 2^32 payloads for a key (NIST SP
// 800-38D, 8.3), which a shop with 100 orders a second reaches within two weeks.
type Codec struct {
	keys    map[string][]byte // by id
	current string            // the id of the key that encrypts, or "" for none
}

var _ converter.PayloadCodec = (*Codec)(nil)

// New returns a codec for a list of keys in base64, as NewKey returns them, of which the first may be Plain. The codec
// of an empty list encrypts nothing, and reports an encrypted payload as unreadable.
func New(list []string) (*Codec, error) {
	c := &Codec{keys: map[string][]byte{}}
	for i, text := range list {
		if text == Plain && i == 0 {
			if len(list) == 1 {
				return nil, fmt.Errorf("%s stands alone: put the keys that decrypt after it, or leave the list empty", Plain)
			}
			continue
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("key %d of the list is not %d bytes in base64: make a key with "+
				"\"holdfast secrets payload-key\"", i+1, keySize)
		}
		id := keyID(key)
		if c.keys[id] != nil {
			return nil, fmt.Errorf("key %d of the list stands there twice", i+1)
		}
		c.keys[id] = key
		if i == 0 {
			c.current = id
		}
	}
	return c, nil
}

// NewKey returns a random key for the list of New, in base64.
func NewKey() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(key)
}

// keyID derives a key's public name from the key, so that the same key has the same name everywhere.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("holdfast payload key id:"), key...))
	return hex.EncodeToString(sum[:4])
}

// Encode encrypts payloads with the first key of the list.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.current == "" {
		return payloads, nil
	}
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		salt := make([]byte, saltSize, saltSize+len(plain)+16)
		_, _ = rand.Read(salt) // it never fails (crypto/rand)
		gcm, nonce, err := c.cipherFor(c.current, salt)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{
				converter.MetadataEncoding: []byte(encoding),
				metadataKeyID:              []byte(c.current),
			},
			Data: gcm.Seal(salt, nonce, plain, []byte(c.current)),
		}
	}
	return out, nil
}

// Decode decrypts payloads, each with the key that it names. It returns a payload that is not encrypted as it is, so
// that orders from before the encryption go on. The error is an *UnreadableError.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encoding {
			out[i] = p
			continue
		}
		plain, err := c.open(string(p.GetMetadata()[metadataKeyID]), p.GetData())
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, &UnreadableError{reason: "its plaintext is not a payload"}
		}
	}
	return out, nil
}

func (c *Codec) open(id string, data []byte) ([]byte, error) {
	if c.keys[id] == nil {
		return nil, &UnreadableError{KeyID: id, reason: fmt.Sprintf(
			"it is encrypted with the key %q, which this process does not have: add that key to the end of "+
				"TEMPORAL_PAYLOAD_KEYS", id)}
	}
	if len(data) < saltSize {
		return nil, &UnreadableError{KeyID: id, reason: "it is cut off"}
	}
	gcm, nonce, err := c.cipherFor(id, data[:saltSize])
	if err != nil {
		return nil, &UnreadableError{KeyID: id, reason: err.Error()}
	}
	plain, err := gcm.Open(nil, nonce, data[saltSize:], []byte(id))
	if err != nil {
		return nil, &UnreadableError{KeyID: id, reason: "it was changed after it was encrypted"}
	}
	return plain, nil
}

// cipherFor derives the AES key and the nonce of one payload from a key of the list and the payload's salt.
func (c *Codec) cipherFor(id string, salt []byte) (cipher.AEAD, []byte, error) {
	derived, err := hkdf.Key(sha256.New, c.keys[id], salt, info, keySize+nonceSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(derived[:keySize])
	if err != nil {
		return nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, derived[keySize:], err
}

// Unreadable begins the text of an UnreadableError. A replay returns only the text.
const Unreadable = "the payload cannot be read"

// UnreadableError says that a payload cannot be decrypted.
type UnreadableError struct {
	KeyID  string // the id of the key that it names
	reason string
}

// LacksKey lets code that may not import this package tell the error from others.
func (e *UnreadableError) LacksKey() {}

func (e *UnreadableError) Error() string { return Unreadable + ": " + e.reason }

// isUnreadable reports whether err comes from a payload that cannot be decrypted.
func isUnreadable(err error) bool {
	var unreadable *UnreadableError
	return errors.As(err, &unreadable)
}
