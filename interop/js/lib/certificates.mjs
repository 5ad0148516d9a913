import selfsigned from "selfsigned";

const OPTIONS = { keyType: "ec", curve: "P-256", algorithm: "sha256" };

/** A certificate authority of our own, and a certificate by it for this machine: `{ ca, key, cert }`, all PEM. */
export async function certificates() {
  const authority = await selfsigned.generate([{ name: "commonName", value: "A test's authority" }], {
    ...OPTIONS,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await selfsigned.generate([{ name: "commonName", value: "127.0.0.1" }], {
    ...OPTIONS,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: "basicConstraints", cA: false },
      {
        name: "subjectAltName",
        altNames: [
          { type: 7, ip: "127.0.0.1" },
          { type: 2, value: "localhost" },
        ],
      },
    ],
  });
  return { ca: authority.cert, key: server.private, cert: server.cert };
}
