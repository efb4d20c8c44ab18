//! containerd's CRI of a node, spoken from this machine through a session.

use std::future::Future;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{ImageSpec, ImageStatusRequest, StatusRequest};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::RigError;
use super::session::Address;
use crate::layout::{CONTAINERD_SOCKET, NODE_IMAGE, PAUSE_IMAGE};
use crate::wire::Action;

/// Emulated, and with other pods starting at the same time.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// `ExecSync` and its output, of which containerd keeps 16 MiB a stream.
const MESSAGE_LIMIT: usize = 40 << 20;

/// A connection to one node's containerd; a runtime of its own makes its calls block.
#[derive(Debug)]
pub(crate) struct Cri {
    node: u8,
    runtime: Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects; an error when containerd does not listen (yet).
    pub(crate) fn connect(address: &Address) -> Result<Self, RigError> {
        let node = address.node.get();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(RigError::session("prepare calls to containerd on", node))?;
        let stream = address.open(Action::Connect { path: CONTAINERD_SOCKET.into() })?;
        let connect_error = |source| RigError::Session { action: "connect to containerd on", node, source };
        stream.set_nonblocking(true).map_err(connect_error)?;
        let channel = runtime.block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream).map_err(connect_error)?;
            let mut stream = Some(TokioIo::new(stream));
            let connector = tower::service_fn(move |_| {
                // One connection is all there is; when it breaks, the operation has failed.
                std::future::ready(
                    stream.take().ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)),
                )
            });
            let endpoint = Endpoint::from_static("http://containerd").timeout(CALL_LIMIT);
            let channel = endpoint.connect_with_connector(connector).await;
            channel.map_err(|error| connect_error(std::io::Error::other(error)))
        })?;
        Ok(Self { node, runtime, channel })
    }

    /// Makes one call of the runtime service; `action` is for the error.
    pub(crate) fn call<T, F>(
        &self,
        action: &str,
        call: impl FnOnce(RuntimeServiceClient<Channel>) -> F,
    ) -> Result<T, RigError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let client = RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT);
        self.finish(action, call(client))
    }

    fn finish<T>(
        &self,
        action: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RigError> {
        match self.runtime.block_on(call) {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(RigError::Cri {
                action: action.to_owned(),
                node: self.node,
                message: status.message().to_owned(),
            }),
        }
    }

    /// Whether containerd has a network configuration and the rig's images, so that pods can be started.
    pub(crate) fn is_ready(&self) -> Result<bool, RigError> {
        let status = self.call("ask for the runtime's status", async |mut client| {
            client.status(StatusRequest::default()).await
        })?;
        let conditions = status.status.unwrap_or_default().conditions;
        if conditions.is_empty() || !conditions.iter().all(|condition| condition.status) {
            return Ok(false);
        }
        for image in [PAUSE_IMAGE, NODE_IMAGE] {
            if !self.has_image(image)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether containers can be made of this image.
    pub(crate) fn has_image(&self, name: &str) -> Result<bool, RigError> {
        let image = ImageSpec { image: name.to_owned(), ..Default::default() };
        let request = ImageStatusRequest { image: Some(image), verbose: false };
        let mut client = ImageServiceClient::new(self.channel.clone());
        let status = self.finish("ask for an image", async move { client.image_status(request).await })?;
        Ok(status.image.is_some())
    }
}
