// Package codecserver is the process that decrypts payloads for operators, so that Temporal's Web UI and command line
// show what the orders hold (payloadcodec). Only operators and admins may use it. The keys never leave the process.
//
// Temporal's Web UI runs in the operator's browser and sends each payload that it shows to this server. The command
// line does the same with --codec-endpoint and --codec-auth.
package codecserver

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/payloadcodec"
	"holdfast/internal/problem"
	"holdfast/internal/service"
)

// Config is the configuration of the codec server.
type Config struct {
	Listen string `env:"CODEC_LISTEN" envDefault:":9093"`
	// Origins are the addresses of the Web UIs whose pages may ask, as in https://temporal.shop.example.
	Origins     []string `env:"CODEC_ORIGINS"`
	PayloadKeys []string `env:"TEMPORAL_PAYLOAD_KEYS,required,notEmpty"`
	Auth        auth.Config
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if _, err := payloadcodec.New(c.PayloadKeys); err != nil {
		faults = append(faults, fmt.Errorf("TEMPORAL_PAYLOAD_KEYS: %w", err))
	}
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || origin != u.Scheme+"://"+u.Host || u.Host == "" {
			faults = append(faults, fmt.Errorf(
				"CODEC_ORIGINS has %q; an origin is a scheme and a host, as in https://temporal.shop.example", origin))
		}
	}
	return errors.Join(faults...)
}

const (
	// maxBody bounds a request. A page of the Web UI asks for the payloads of at most a few hundred events.
	maxBody = 16 << 20
	// cookieName is the cookie of an operator who has signed in on this server's page.
	cookieName = "holdfast_codec"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

type server struct {
	verifier *auth.Verifier
	log      *slog.Logger
}

// Run serves until ctx ends, then waits for requests under way.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	verifier, err := auth.NewVerifier(ctx, cfg.Auth, env.Log)
	if err != nil {
		return err
	}
	codec, err := payloadcodec.New(cfg.PayloadKeys)
	if err != nil {
		return err
	}
	health := httpx.NewHealth(httpx.Check{Name: "token_keys", Required: true, Probe: verifier.Ready})
	return httpx.Server{
		Addr:     cfg.Listen,
		Handler:  newRouter(cfg, env, health, verifier, codec),
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}.Serve(ctx)
}

func newRouter(
	cfg Config,
	env service.Env,
	health *httpx.Health,
	verifier *auth.Verifier,
	codec *payloadcodec.Codec,
) http.Handler {
	s := &server{verifier: verifier, log: env.Log}
	router := httpx.NewRouter(httpx.Options{
		Log:      env.Log,
		Registry: env.Registry,
		Health:   health,
		MaxBody:  maxBody,
		Edge:     []gin.HandlerFunc{crossOrigin(cfg.Origins)},
	})
	router.GET("/", s.showPage)
	router.POST("/sign-in", s.signIn)
	router.POST("/sign-out", s.signOut)

	handler := gin.WrapH(converter.NewPayloadCodecHTTPHandler(readable{codec}))
	coded := router.Group("", fromCookie, verifier.Require, s.operatorsOnly)
	coded.POST("/decode", handler)
	coded.POST("/encode", handler)
	return router
}

// crossOrigin lets pages of the given origins ask with the operator's cookie, and no other page.
func crossOrigin(origins []string) gin.HandlerFunc {
	rules := cors.New(cors.Options{
		AllowOriginFunc:  func(origin string) bool { return slices.Contains(origins, origin) },
		AllowCredentials: true,
		AllowedMethods:   []string{http.MethodPost},
		AllowedHeaders:   []string{"Authorization", "Content-Type", "X-Namespace"},
	})
	return func(c *gin.Context) {
		rules.HandlerFunc(c.Writer, c.Request)
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			c.Abort()
			c.Writer.WriteHeaderNow()
		}
	}
}

// fromCookie takes the token of an operator who has signed in, unless the request has its own. It wants JSON then: no
// browser lets a page of a foreign origin send JSON with a cookie without asking crossOrigin first.
func fromCookie(c *gin.Context) {
	token, err := c.Cookie(cookieName)
	if err != nil || c.GetHeader("Authorization") != "" {
		return
	}
	if kind, _, _ := strings.Cut(c.GetHeader("Content-Type"), ";"); !strings.EqualFold(kind, "application/json") {
		httpx.Fail(c, problem.Common.New(problem.UnsupportedMedia, "send the payloads as application/json"))
		return
	}
	c.Request.Header.Set("Authorization", "Bearer "+token)
}

// operatorsOnly refuses others, and logs who reads payloads.
func (s *server) operatorsOnly(c *gin.Context) {
	who := auth.From(c)
	if !who.Operates() {
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators and admins may read payloads"))
		return
	}
	s.log.InfoContext(c, "payloads are shown", "path", c.Request.URL.Path, "subject", who.Subject,
		"namespace", c.GetHeader("X-Namespace"))
}

// readable is the codec for a page that shows many payloads: it returns a payload that it cannot decrypt as it is, so
// that the others are shown.
type readable struct{ *payloadcodec.Codec }

func (r readable) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		decoded, err := r.Codec.Decode([]*commonpb.Payload{p})
		if err != nil {
			decoded = []*commonpb.Payload{p}
		}
		out[i] = decoded[0]
	}
	return out, nil
}

// showPage tells the operator whether the browser is signed in, and takes a token.
func (s *server) showPage(c *gin.Context) { s.render(c, http.StatusOK, "") }

func (s *server) render(c *gin.Context, status int, fault string) {
	subject := ""
	if token, err := c.Cookie(cookieName); err == nil {
		if who, err := s.verifier.Verify(token); err == nil && who.Operates() {
			subject = who.Subject
		}
	}
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	c.Header("Cache-Control", "no-store")
	c.Status(status)
	if err := page.Execute(c.Writer, struct{ Subject, Fault string }{subject, fault}); err != nil {
		_ = c.Error(err) // the access log shows it
	}
}

// signIn keeps an operator's token in a cookie that only this server reads, until the browser closes or the token
// expires.
func (s *server) signIn(c *gin.Context) {
	token := strings.TrimSpace(c.PostForm("token"))
	who, err := s.verifier.Verify(token)
	switch {
	case errors.Is(err, auth.ErrNoKeys):
		s.render(c, http.StatusServiceUnavailable, "Tokens cannot be verified now. Try again.")
	case err != nil:
		s.render(c, http.StatusUnauthorized, fmt.Sprintf("The token is not accepted: %s.", err))
	case !who.Operates():
		s.render(c, http.StatusForbidden, "Only operators and admins may read payloads.")
	default:
		setCookie(c, token, 0)
		c.Redirect(http.StatusSeeOther, "/")
	}
}

func (s *server) signOut(c *gin.Context) {
	setCookie(c, "", -1)
	c.Redirect(http.StatusSeeOther, "/")
}

func setCookie(c *gin.Context, token string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // G124: it is not Secure on a loopback address only
		Name:     cookieName,
		Value:    token,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   !isLoopback(c.Request.Host), // a development stack has no TLS
		HttpOnly: true,
		// The Web UI's page must be of the same site: temporal.shop.example beside codec.shop.example.
		SameSite: http.SameSiteStrictMode,
	})
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
