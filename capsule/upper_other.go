//go:build !amd64

package capsule

// leaveAVX has nothing to do where there is no AVX.
func leaveAVX() {}
