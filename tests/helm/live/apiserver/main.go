// An API server of Kubernetes with its store, for tests: apiserver FOLDER PORT. There are no controllers and no nodes. Who has the
// token `admin` may do everything; who has `deployer` may do what roles allow.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// startStore starts etcd in the folder and says where it listens: on a socket there.
func startStore(folder string) (string, error) {
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	// Sockets in the current folder, since such an address cannot have a path.
	address, peers := url.URL{Scheme: "unix", Host: "etcd:0"}, url.URL{Scheme: "unix", Host: "peer:0"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{address}, []url.URL{address}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	store, err := embed.StartEtcd(config)
	if err != nil {
		return "", err
	}
	<-store.Server.ReadyNotify()
	return address.String(), nil
}

// writeKey makes the key that tokens of service accounts are signed with; there are none, but the server wants it.
func writeKey(file string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(file, pem.EncodeToMemory(&block), 0o600)
}

func main() {
	folder, port := os.Args[1], os.Args[2]
	key, tokens := filepath.Join(folder, "key"), filepath.Join(folder, "tokens")
	if err := os.Chdir(folder); err != nil {
		log.Fatal(err)
	}
	address, err := startStore(folder)
	if err == nil {
		err = writeKey(key)
	}
	if err == nil {
		err = os.WriteFile(tokens, []byte("admin,admin,1,system:masters\ndeployer,deployer,2\n"), 0o600)
	}
	if err != nil {
		log.Fatal(err)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=" + address,
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--cert-dir=" + folder,
		"--token-auth-file=" + tokens,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.test",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		"--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none",
	})
	os.Exit(cli.Run(command))
}
