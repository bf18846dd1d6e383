package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// serveBound runs a handler under short patience.
func serveBound(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(patience{body: 200 * time.Millisecond, write: 200 * time.Millisecond}.bound(h))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// rawPost begins a request of which the test sends the body, or not.
func rawPost(t *testing.T, s *httptest.Server, length int) net.Conn {
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length)
	return c
}

// Who sends a body a byte at a time holds nothing for long.
func TestSlowBody(t *testing.T) {
	got := make(chan error, 1)
	s := serveBound(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})
	c := rawPost(t, s, 1000)
	go func() {
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			c.Write([]byte("x"))
		}
	}()
	select {
	case err := <-got:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the body ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a slow body is waited for")
	}
}

// Who takes no answer doesn't keep a stream's goroutine and queue for ever.
func TestStuckReader(t *testing.T) {
	got := make(chan error, 1)
	s := serveBound(t, func(w http.ResponseWriter, r *http.Request) {
		var err error
		for err == nil {
			if _, err = w.Write(make([]byte, 64<<10)); err == nil {
				w.(http.Flusher).Flush()
			}
		}
		got <- err
	})
	rawPost(t, s, 0)
	select {
	case err := <-got:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a stuck reader is waited for")
	}
}

// A quiet stream goes on, with a body or without, and still hears that the other side
// left.
func TestQuietStream(t *testing.T) {
	for _, body := range []string{"", "body"} {
		got, left := make(chan error, 1), make(chan error, 1)
		s := serveBound(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(600 * time.Millisecond)
			_, err := io.WriteString(w, "late\n")
			w.(http.Flusher).Flush()
			got <- errors.Join(err, r.Context().Err())
			<-r.Context().Done()
			left <- r.Context().Err()
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := <-got; err != nil {
			t.Errorf("body %q: a quiet stream was ended: %v", body, err)
		}
		cancel()
		select {
		case <-left:
		case <-time.After(5 * time.Second):
			t.Error("the handler doesn't hear that the other side left")
		}
	}
}

// Large bodies are handled a few at once; small ones go on beside them.
func TestLargeBodies(t *testing.T) {
	inside := make(chan struct{}, 2*maxLarge)
	s := serveBound(t, func(w http.ResponseWriter, r *http.Request) {
		large := r.ContentLength > smallBody
		if large {
			inside <- struct{}{}
		}
		if _, err := io.Copy(io.Discard, r.Body); errors.Is(err, errLarge) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if large {
			<-r.Context().Done()
		}
	})
	client := &http.Client{Timeout: 10 * time.Second}
	for range maxLarge {
		rawPost(t, s, smallBody+1)
	}
	for range maxLarge {
		<-inside
	}
	answer, err := client.Post(s.URL, "text/plain", strings.NewReader(strings.Repeat("x", smallBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("one large body too many: status %d", answer.StatusCode)
	}
	chunked := io.MultiReader(strings.NewReader(strings.Repeat("x", smallBody+1))) // of unknown length
	if answer, err := client.Post(s.URL, "text/plain", chunked); err == nil && answer.StatusCode == http.StatusOK {
		t.Error("a large body of unknown length is taken")
	}
	answer, err = client.Post(s.URL, "text/plain", strings.NewReader("x"))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("a small body: %v, %v", answer, err)
	}
	answer.Body.Close()
}
