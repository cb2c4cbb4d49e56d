package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// caller is a client with one open connection. It writes its request as bytes that were made once, and so costs less
// than what it measures: on this machine the callers share the processors with everything else.
type caller struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	asked   *http.Request // for http.ReadResponse
}

const callTimeout = 30 * time.Second

// dial opens a caller that asks for path at a server. Each caller is a customer of its own.
func dial(ctx context.Context, server, path string, headers ...string) (*caller, error) {
	bearer, err := token()
	if err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(server, "http://")
	conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", server, err)
	}
	lines := append([]string{"Host: " + host, "Authorization: Bearer " + bearer}, headers...)
	text := "GET " + path + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	return &caller{
		conn:    conn,
		reader:  bufio.NewReader(conn),
		request: []byte(text),
		asked:   &http.Request{Method: http.MethodGet},
	}, nil
}

// dialAll opens n callers.
func dialAll(ctx context.Context, n int, server, path string) ([]*caller, error) {
	out := make([]*caller, 0, n)
	for range n {
		c, err := dial(ctx, server, path)
		if err != nil {
			closeAll(out)
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func closeAll(callers []*caller) {
	for _, c := range callers {
		_ = c.conn.Close()
	}
}

// call sends the request, and returns the length of the answer's body.
func (c *caller) call() (int64, error) {
	if err := c.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, fmt.Errorf("send a request: %w", err)
	}
	res, err := http.ReadResponse(c.reader, c.asked)
	if err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		return 0, fmt.Errorf("read an answer's body: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the answer is %s", res.Status)
	}
	return n, res.Body.Close()
}
