package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

func (s *server) Name(context.Context, *pb.NameRequest) (*pb.NameResponse, error) {
	return &pb.NameResponse{Name: "Writ"}, nil
}

func (s *server) SupportedCiphersuites(context.Context, *pb.SupportedCiphersuitesRequest) (*pb.SupportedCiphersuitesResponse, error) {
	out := &pb.SupportedCiphersuitesResponse{}
	for _, cs := range s.suites() {
		out.Ciphersuites = append(out.Ciphersuites, uint32(cs))
	}
	return out, nil
}

func (s *server) CreateGroup(_ context.Context, r *pb.CreateGroupRequest) (*pb.CreateGroupResponse, error) {
	c, err := newClient(r.CipherSuite, r.Identity)
	if err != nil {
		return nil, err
	}
	known := make(psks)
	g, err := c.NewGroup(known.config(), r.GroupId, nil)
	if err != nil {
		return nil, err
	}
	return &pb.CreateGroupResponse{StateId: keep(s, s.members, &member{g, c, r.EncryptHandshake, known})}, nil
}

func (s *server) CreateKeyPackage(_ context.Context, r *pb.CreateKeyPackageRequest) (*pb.CreateKeyPackageResponse, error) {
	n, err := newNewcomer(r.CipherSuite, r.Identity)
	if err != nil {
		return nil, err
	}
	out := &pb.CreateKeyPackageResponse{KeyPackage: n.kp.Bytes()}
	if out.InitPriv, out.EncryptionPriv, out.SignaturePriv, err = n.private(); err != nil {
		return nil, err
	}
	out.TransactionId = keep(s, s.newcomers, n)
	return out, nil
}

func (s *server) JoinGroup(_ context.Context, r *pb.JoinGroupRequest) (*pb.JoinGroupResponse, error) {
	n, err := find(s.newcomers, "transaction", r.TransactionId)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(n.client.Credential.Identity, r.Identity) {
		return nil, fmt.Errorf("transaction of %q", n.client.Credential.Identity)
	}
	g, _, err := n.client.Join(n.psks.config(), r.Welcome, n.kp, n.secrets, r.RatchetTree)
	if err != nil {
		return nil, err
	}
	delete(s.newcomers, r.TransactionId)
	id := keep(s, s.members, &member{g, n.client, r.EncryptHandshake, n.psks})
	return &pb.JoinGroupResponse{StateId: id, EpochAuthenticator: g.EpochAuthenticator()}, nil
}

func (s *server) ExternalJoin(_ context.Context, r *pb.ExternalJoinRequest) (*pb.ExternalJoinResponse, error) {
	outside, err := mls.Inspect(r.GroupInfo)
	if err != nil {
		return nil, err
	}
	c, err := newClient(uint32(outside.Suite), r.Identity)
	if err != nil {
		return nil, err
	}
	known, o := make(psks), mls.CommitOptions{}
	for _, k := range r.Psks {
		known[string(k.PskId)] = k.PskSecret
		o.PSKs = append(o.PSKs, mls.PSK{ID: k.PskId})
	}
	if r.RemovePrior {
		i, err := leafIn(r.GroupInfo, r.RatchetTree, r.Identity)
		if err != nil {
			return nil, err
		}
		o.Remove = []mls.LeafIndex{i}
	}
	g, commit, err := c.JoinExternal(known.config(), r.GroupInfo, r.RatchetTree, o)
	if err != nil {
		return nil, err
	}
	id := keep(s, s.members, &member{g, c, r.EncryptHandshake, known})
	return &pb.ExternalJoinResponse{StateId: id, Commit: commit, EpochAuthenticator: g.EpochAuthenticator()}, nil
}

// leafIn finds somebody in a group by its group info.
func leafIn(groupInfo, tree, identity []byte) (mls.LeafIndex, error) {
	g, err := mls.NewPublicGroup(psks{}.config(), groupInfo, tree)
	if err != nil {
		return 0, err
	}
	return leafOf(g.Members(), identity)
}

func leafOf(members iter.Seq2[mls.LeafIndex, *mls.LeafNode], identity []byte) (mls.LeafIndex, error) {
	for i, l := range members {
		if bytes.Equal(l.Credential.Identity, identity) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w member %q", errUnknown, identity)
}

func (s *server) GroupInfo(_ context.Context, r *pb.GroupInfoRequest) (*pb.GroupInfoResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	out := &pb.GroupInfoResponse{}
	if out.GroupInfo, err = m.group.GroupInfo(nil, !r.ExternalTree); err != nil {
		return nil, err
	}
	if r.ExternalTree {
		out.RatchetTree = m.group.RatchetTree()
	}
	return out, nil
}

func (s *server) StateAuth(_ context.Context, r *pb.StateAuthRequest) (*pb.StateAuthResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	return &pb.StateAuthResponse{StateAuthSecret: m.group.EpochAuthenticator()}, nil
}

func (s *server) Export(_ context.Context, r *pb.ExportRequest) (*pb.ExportResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	secret, err := m.group.Export(r.Label, r.Context, int(r.KeyLength))
	return &pb.ExportResponse{ExportedSecret: secret}, err
}

func (s *server) Protect(_ context.Context, r *pb.ProtectRequest) (*pb.ProtectResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	msg, _, err := m.group.Protect(r.AuthenticatedData, r.Plaintext)
	return &pb.ProtectResponse{Ciphertext: msg}, err
}

func (s *server) Unprotect(_ context.Context, r *pb.UnprotectRequest) (*pb.UnprotectResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	msg, _, err := m.group.Unprotect(r.Ciphertext)
	if err != nil {
		return nil, err
	}
	return &pb.UnprotectResponse{AuthenticatedData: msg.AuthenticatedData, Plaintext: msg.Data}, nil
}

func (s *server) StorePSK(_ context.Context, r *pb.StorePSKRequest) (*pb.StorePSKResponse, error) {
	if n, ok := s.newcomers[r.StateOrTransactionId]; ok {
		n.psks[string(r.PskId)] = r.PskSecret
		return &pb.StorePSKResponse{}, nil
	}
	m, err := s.member(r.StateOrTransactionId)
	if err != nil {
		return nil, err
	}
	m.psks[string(r.PskId)] = r.PskSecret
	return &pb.StorePSKResponse{}, nil
}

func (s *server) Free(_ context.Context, r *pb.FreeRequest) (*pb.FreeResponse, error) {
	if _, err := s.member(r.StateId); err != nil {
		return nil, err
	}
	delete(s.members, r.StateId)
	return &pb.FreeResponse{}, nil
}
