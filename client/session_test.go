package client

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
)

// Who never answers can't hold the device, which does one thing at a time, for ever.
func TestEveryCallEnds(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	ends := func(ctx context.Context, call string) {
		seen[call] = true
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > callTime {
			t.Errorf("%s ends at %v", call, at)
		}
	}
	config := w.config(NewMemory(), between(func(ctx context.Context, p string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		ends(ctx, p)
		return send()
	}))
	config.Directory = watched{config.Directory, ends}
	anna, err := Open(config)
	w.check(err)
	w.register(anna, phone("anna"), w.access)
	ben := w.device("ben", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "hello")
	w.send(ben, id, "hello")
	w.second(anna, "tablet")
	w.check(anna.RevokeDevice(background, "tablet"))
	w.sync(anna)
	for _, call := range []string{"Register", "Challenge", "Login", "Devices", "DropDevices", "CreateConversation", "TakeKeyPackages", "Commit",
		"Append", "Read", "Welcomes", "PublishKeyPackages", "directory"} {
		if !seen[call] {
			t.Errorf("no %s", call)
		}
	}
}

// watched is a directory of which each call is looked at.
type watched struct {
	api.DirectoryClient
	look func(context.Context, string)
}

func (d watched) LookUp(ctx context.Context, r *api.LookUpRequest) (*api.LookUpResponse, error) {
	d.look(ctx, "directory")
	return d.DirectoryClient.LookUp(ctx, r)
}

func (d watched) PutStatement(ctx context.Context, r *api.PutStatementRequest) (*api.PutStatementResponse, error) {
	d.look(ctx, "directory")
	return d.DirectoryClient.PutStatement(ctx, r)
}
