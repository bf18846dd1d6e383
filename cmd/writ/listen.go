package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// grace is how long requests under way may take after the word to stop.
const grace = 10 * time.Second

// service is the part of a command line that all services share.
type service struct {
	dir       string
	cert, key string
	untilEOF  bool
}

// serviceFlags adds the flags of a service to its command.
func serviceFlags(cmd *cobra.Command) *service {
	var s service
	f := cmd.Flags()
	f.StringVar(&s.dir, "dir", ".", "the service's directory")
	f.StringVar(&s.cert, "tls-cert", "", "PEM file with the certificate chain; none: plain HTTP, for loopback or behind a proxy")
	f.StringVar(&s.key, "tls-key", "", "PEM file with the certificate's private key")
	f.BoolVar(&s.untilEOF, "until-eof", false, "end when standard input ends, so that no service outlives who started it")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	return &s
}

// context ends with the parent's, and with standard input if so wanted.
func (s *service) context(ctx context.Context, stdin io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if s.untilEOF {
		go func() {
			io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	return ctx, cancel
}

// serve answers on addr until ctx ends, and says so in one line once it listens.
func (s *service) serve(ctx context.Context, cmd *cobra.Command, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fail(codeFailed, err, "another process may listen there already; see \"listen\" in config.json")
	}
	scheme := "http"
	if s.cert != "" {
		scheme = "https"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s listens on %s://%s\n", cmd.Name(), scheme, l.Addr())
	return s.answer(ctx, l, h)
}

func (s *service) answer(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           patience{body: time.Minute, write: 30 * time.Second}.bound(h),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() {
		if s.cert != "" {
			done <- server.ServeTLS(l, s.cert, s.key)
		} else {
			done <- server.Serve(l)
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		server.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// logger writes a service's log to standard error.
func logger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}

// endProcess is what a service calls when its disk fails: nothing that was not
// stored is answered after it, and a restart replays what was.
func endProcess(err error) {
	fmt.Fprintf(os.Stderr, "error: %s\nhint: %s\n", plain(err), diskHint)
	os.Exit(int(codeFailed))
}
