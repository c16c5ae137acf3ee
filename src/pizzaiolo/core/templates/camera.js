"use strict";

// A photo from the camera: in the page where it may use one, else by the phone's own program.

const CAMERA = {
  open: "Use the camera",
  title: "Camera",
  shoot: "Take the photo",
  close: "Close",
  refused: "The camera can't be used. Is it allowed for this page?",
  photo: "camera photo",
};

function useCamera(askAll) {
  by("open-camera").textContent = by("snap-label").textContent = CAMERA.open;
  if (!navigator.mediaDevices?.getUserMedia) return usePhonesCamera(askAll);
  by("camera-title").textContent = CAMERA.title;
  by("shoot").textContent = CAMERA.shoot;
  by("close-camera").textContent = CAMERA.close;
  by("open-camera").hidden = false;
  by("open-camera").addEventListener("click", openCamera);
  by("close-camera").addEventListener("click", () => by("camera").close());
  by("camera").addEventListener("close", () => {
    stopStream(by("view").srcObject);
    by("view").srcObject = null;
  });
  by("shoot").addEventListener("click", () => shoot(askAll));
}

function usePhonesCamera(askAll) {
  by("snap").hidden = by("snap-label").hidden = !matchMedia("(pointer: coarse)").matches;
  by("snap").addEventListener("change", ({ target }) => {
    const taken = [...target.files];
    target.value = "";
    askAll(taken);
  });
}

async function openCamera() {
  by("camera-problem").textContent = "";
  by("shoot").disabled = true;
  by("camera").showModal();
  try {
    const video = { facingMode: "environment", width: { ideal: 1280 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    if (!by("camera").open) return stopStream(stream); // closed while the browser asked
    by("view").srcObject = stream;
    await by("view").play();
    by("shoot").disabled = false;
    by("shoot").focus();
  } catch {
    by("camera-problem").textContent = CAMERA.refused;
  }
}

function shoot(askAll) {
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [by("view").videoWidth, by("view").videoHeight];
  canvas.getContext("2d").drawImage(by("view"), 0, 0);
  canvas.toBlob((blob) => askAll([new File([blob], CAMERA.photo, { type: "image/png" })]));
  by("camera").close();
}

const stopStream = (stream) => stream?.getTracks().forEach((track) => track.stop());
