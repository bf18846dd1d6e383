package main

import (
	"context"
	"errors"
)

// together runs a service's background work beside its server, and ends both
// when one of them ends. The end of ctx is no error.
func together(ctx context.Context, run func(context.Context) error, serve func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background := make(chan error, 1)
	go func() { background <- run(ctx) }()
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-background:
		if ctx.Err() != nil {
			return errors.Join(unlessAsked(err), unlessAsked(<-served))
		}
		return unlessAsked(err)
	case err := <-served:
		cancel()
		return errors.Join(unlessAsked(err), unlessAsked(<-background))
	}
}

// unlessAsked is the error of something that ended, none if it was asked to.
func unlessAsked(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
