package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	// keySetTimeout is how long the identity provider may take to answer.
	keySetTimeout = 5 * time.Second

	// maxKeySet bounds a key set, in bytes.
	maxKeySet = 1 << 20

	// unknownKeyInterval is the least time between two reads of the key set because of a token with an unknown key, so
	// that a flood of such tokens is no load for the identity provider. unknownKeyWait is how long the one request that
	// causes such a read may wait for it; the others are refused at once. Requests with known keys never wait.
	unknownKeyInterval = 30 * time.Second
	unknownKeyWait     = 2 * time.Second
)

// ErrNoKeys means that no key set could be read yet.
var ErrNoKeys = errors.New("the identity provider's keys could not be read")

// errKeyUnknown is for the client.
var errKeyUnknown = errors.New("it names no key (kid) that this platform's identity provider has")

// keySet is the keys of an identity provider. If the provider does not answer, the keys that were read last stay valid.
type keySet struct{ keys keyfunc.Keyfunc }

// newKeySet reads the keys of c.JWKSURL, and reads them again every c.Refresh while ctx lasts.
func newKeySet(ctx context.Context, c Config, log *slog.Logger) (*keySet, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	client := &http.Client{
		Transport: bounded{transport},
		// Another address may be one over which another machine can send its own keys (checkKeySetURL).
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	fetched, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.JWKSURL}, keyfunc.Override{
		Client:            client,
		HTTPTimeout:       keySetTimeout,
		RefreshInterval:   c.Refresh,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownKeyInterval), 1),
		RateLimitWaitMax:  unknownKeyWait,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				log.WarnContext(ctx, "the identity provider's keys could not be read; the known ones stay valid", "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("JWKS_URL: %w", err)
	}

	keys, err := keyfunc.New(keyfunc.Options{
		Ctx:          ctx,
		Storage:      fetched.Storage(),
		UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}, // no keys for encryption
	})
	if err != nil {
		return nil, fmt.Errorf("JWKS_URL: %w", err)
	}
	return &keySet{keys}, nil
}

// find returns the key that the token names.
func (s *keySet) find(token *jwt.Token) (any, error) {
	if kid, _ := token.Header["kid"].(string); kid == "" {
		return nil, errKeyUnknown
	}
	key, err := s.keys.Keyfunc(token)
	if err == nil {
		return key, nil
	}
	if none := s.ready(context.Background()); none != nil {
		return nil, none
	}
	return nil, fmt.Errorf("%w: %w", errKeyUnknown, err)
}

// ready returns ErrNoKeys if no key set has been read.
func (s *keySet) ready(ctx context.Context) error {
	if keys, err := s.keys.Storage().KeyReadAll(ctx); err != nil || len(keys) == 0 {
		return ErrNoKeys
	}
	return nil
}

// bounded refuses the part of an answer beyond maxKeySet.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxKeySet), res.Body}
	}
	return res, err
}
